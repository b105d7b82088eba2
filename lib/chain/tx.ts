// Transactions: unordered, signed directly, usually a warm key executing messages on behalf of the cold one.

import { createHash } from 'node:crypto'
import { type Any, decodeMessage, encodeMessage, packAny } from './messages.ts'

export interface Fee {
  readonly gas: bigint
  /** Price of one gas unit in ngonka. */
  readonly gasPrice: bigint
  /** The account that pays under a fee grant; the signer pays if absent. */
  readonly granter?: string
}

export interface TxRequest {
  readonly messages: readonly Any[]
  readonly fee: Fee
  /** Compressed key of the signer. */
  readonly publicKey: Uint8Array
  readonly chainId: string
  readonly accountNumber: bigint
  /** Unordered transactions are valid until this time (seconds since 1970) and carry sequence 0. */
  readonly timeoutSeconds: bigint
  readonly memo?: string
}

export interface SignedTx {
  readonly raw: Uint8Array
  /** What BROADCAST expects. */
  readonly base64: string
  /** Upper-case hex SHA-256 of the raw bytes: the hash explorers show. */
  readonly hash: string
}

/** Wraps messages of `granter` for execution by the warm key. */
export function execMessage(grantee: string, messages: readonly Any[]): Any {
  return packAny('cosmos.authz.v1beta1.MsgExec', { grantee, msgs: messages })
}

export interface UnsignedTx {
  readonly body: Uint8Array
  readonly authInfo: Uint8Array
  /** The bytes to sign. */
  readonly signDoc: Uint8Array
}

/** Encodes body, auth info and sign document (SIGN_MODE_DIRECT). */
export function buildTx(request: TxRequest): UnsignedTx {
  const body = encodeMessage('cosmos.tx.v1beta1.TxBody', {
    messages: request.messages,
    memo: request.memo,
    unordered: true,
    timeout_timestamp: { seconds: request.timeoutSeconds },
  })
  const authInfo = encodeMessage('cosmos.tx.v1beta1.AuthInfo', {
    signer_infos: [
      {
        public_key: packAny('cosmos.crypto.secp256k1.PubKey', { key: request.publicKey }),
        mode_info: { single: { mode: 1 } },
      },
    ],
    fee: {
      amount: [{ denom: 'ngonka', amount: (request.fee.gas * request.fee.gasPrice).toString() }],
      gas_limit: request.fee.gas,
      granter: request.fee.granter,
    },
  })
  const signDoc = encodeMessage('cosmos.tx.v1beta1.SignDoc', {
    body_bytes: body,
    auth_info_bytes: authInfo,
    chain_id: request.chainId,
    account_number: request.accountNumber,
  })
  return { body, authInfo, signDoc }
}

/** Signs with a function so that the key may live elsewhere: it gets the sign document and returns 64 bytes r || s. */
export async function signTx(
  tx: UnsignedTx,
  sign: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>,
): Promise<SignedTx> {
  const signature = await sign(tx.signDoc)
  const raw = encodeMessage('cosmos.tx.v1beta1.TxRaw', {
    body_bytes: tx.body,
    auth_info_bytes: tx.authInfo,
    signatures: [signature],
  })
  return {
    raw,
    base64: Buffer.from(raw).toString('base64'),
    hash: createHash('sha256').update(raw).digest('hex').toUpperCase(),
  }
}

/** What a dry run prints. */
export function describeTx(tx: UnsignedTx): Record<string, unknown> {
  return {
    body: decodeMessage('cosmos.tx.v1beta1.TxBody', tx.body),
    auth_info: decodeMessage('cosmos.tx.v1beta1.AuthInfo', tx.authInfo),
  }
}

/** Gas the network node asks for: table values plus overhead; the caller doubles on "out of gas". */
export function estimateGas(messages: readonly Any[]): bigint {
  const overhead = 50_000n
  return messages.reduce((sum, message) => sum + gasOf(message), overhead)
}

function gasOf(message: Any): bigint {
  switch (message.type_url) {
    case '/inference.inference.MsgPoCV2StoreCommit': {
      const { entries } = decodeMessage('inference.inference.MsgPoCV2StoreCommit', message.value)
      const counts = ((entries as { count?: number }[] | undefined) ?? []).map((e) => BigInt(e.count ?? 0))
      return 600_000n + 150n * counts.reduce((a, b) => a + b, 0n)
    }
    case '/cosmos.authz.v1beta1.MsgGrant':
    case '/cosmos.feegrant.v1beta1.MsgGrantAllowance':
      return 60_000n
    default:
      return 200_000n
  }
}
