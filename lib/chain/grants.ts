// What the cold key allows the warm key to do, and the messages that say so.

import { type Any, packAny } from './messages.ts'

const inferenceMessages = [
  'MsgStartInference',
  'MsgFinishInference',
  'MsgClaimRewards',
  'MsgValidation',
  'MsgSubmitPocBatch',
  'MsgSubmitPocValidationsV2',
  'MsgPoCV2StoreCommit',
  'MsgMLNodeWeightDistribution',
  'MsgSubmitSeed',
  'MsgBridgeExchange',
  'MsgSubmitNewUnfundedParticipant',
  'MsgSubmitHardwareDiff',
  'MsgInvalidateInference',
  'MsgRevalidateInference',
]
const blsMessages = [
  'MsgSubmitDealerPart',
  'MsgSubmitVerificationVector',
  'MsgRespondDealerComplaints',
  'MsgRequestThresholdSignature',
  'MsgSubmitPartialSignature',
  'MsgSubmitGroupKeyValidationSignature',
]

/** Type URLs of every message the warm key sends for its host. */
export const warmKeyMessages: readonly string[] = [
  ...inferenceMessages.map((name) => `/inference.inference.${name}`),
  ...blsMessages.map((name) => `/inference.bls.${name}`),
]

const yearSeconds = 365n * 24n * 3600n
/** The allowance the documentation recommends: 10 GNK in ngonka. */
export const feeAllowance = 10_000_000_000n

/** One GenericAuthorization per message type, valid a year from `nowSeconds`. */
export function grantMessages(
  granter: string,
  grantee: string,
  nowSeconds: bigint,
  typeUrls: readonly string[] = warmKeyMessages,
): Any[] {
  return typeUrls.map((msg) =>
    packAny('cosmos.authz.v1beta1.MsgGrant', {
      granter,
      grantee,
      grant: {
        authorization: packAny('cosmos.authz.v1beta1.GenericAuthorization', { msg }),
        expiration: { seconds: nowSeconds + yearSeconds },
      },
    }),
  )
}

/** Lets the warm key spend the cold key's coins on fees, up to `limit` ngonka. */
export function feeGrantMessage(granter: string, grantee: string, limit: bigint = feeAllowance): Any {
  return packAny('cosmos.feegrant.v1beta1.MsgGrantAllowance', {
    granter,
    grantee,
    allowance: packAny('cosmos.feegrant.v1beta1.BasicAllowance', {
      spend_limit: [{ denom: 'ngonka', amount: limit.toString() }],
    }),
  })
}
