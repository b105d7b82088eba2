/** Proofs of PoC v1 rounds. */
import type { Key } from '../chain/key-file.ts'
import { GonkaError } from '../errors.ts'
import type { NativeDevice } from '../native-api.ts'
import { packageVersion } from '../package-info.ts'
import { collect, openSession, type PocV1Options, runRequest, runSession } from '../poc-v1.ts'
import { checkedPartition, inPartition, type Partition, wholePartition } from '../protocol/partition.ts'
import { type Environment, energyNotAvailable, limits, type Payload, type PocV1Statement } from './payload.ts'
import { signProof } from './sign.ts'

export interface ProveOptions extends Omit<PocV1Options, 'publicKey' | 'weights'> {
  /** Signs, and its public key in hex is hashed into the seeds. */
  readonly key: Key
  /** Whose nonces these are; the whole space if absent. */
  readonly partition?: Partition
  /** After every batch: nonces computed so far. */
  readonly onComputed?: (count: number) => void
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export interface Proof {
  /** The proof file. */
  readonly bytes: Uint8Array
  readonly payload: Payload<PocV1Statement>
}

/** Computes the nonces and signs what came out. Throws ERR_GK_* of the device, and those of signProof. */
export async function prove(options: ProveOptions): Promise<Proof> {
  const { key, device, nonces, rTarget, partition = wholePartition, now = Date.now } = options
  if (nonces.length > limits.artifacts && rTarget === undefined) {
    throw new GonkaError(
      'ERR_GK_NONCES',
      `a proof holds at most ${limits.artifacts} artifacts; got ${nonces.length} nonces`,
    )
  }
  checkedPartition(partition)
  const stranger = nonces.find((nonce) => !inPartition(nonce, partition))
  if (stranger !== undefined) {
    const { nodeId, nodeCount } = partition
    throw new GonkaError('ERR_GK_NONCES', `nonce ${stranger} does not belong to node ${nodeId} of ${nodeCount}`)
  }
  const publicKey = Buffer.from(key.publicKey).toString('hex')
  const round = { ...options, publicKey }
  const request = runRequest(round)
  const session = await openSession(round)
  try {
    const started = now()
    const result = await collect(runSession(session, request, options.signal), options.onComputed)
    const payload: Payload<PocV1Statement> = {
      statement: {
        kind: 'poc_v1',
        params: options.params,
        blockHash: options.blockHash,
        publicKey,
        partition,
        rTarget,
        searched: BigInt(result.stats.computed),
        nonces: result.nonces,
        dist: result.dist,
      },
      environment: await environmentOf(device, session),
      timing: {
        startedUnixMs: BigInt(Math.round(started)),
        elapsedNs: nanoseconds(result.stats.seconds),
        initNs: nanoseconds(session.initSeconds),
        vouchedBy: 'prover',
      },
      energy: energyNotAvailable,
    }
    return { bytes: signProof(payload, key.privateKey), payload }
  } finally {
    await session.close()
  }
}

export function nanoseconds(seconds: number): bigint {
  return BigInt(Math.round(seconds * 1e9))
}

/** What the payload says about where it was computed. */
export async function environmentOf(
  device: NativeDevice,
  session: Pick<Environment, 'implementation' | 'compute'>,
): Promise<Environment> {
  const report = await device.report()
  const backend = device.backend
  return {
    packageVersion: packageVersion(),
    platform: `${process.platform}-${process.arch}`,
    backend: backend.name,
    backendVersion: backend.version,
    backendSha256: Uint8Array.from(Buffer.from(backend.sha256, 'hex')),
    device: report.id,
    deviceName: report.name,
    arch: report.arch,
    driver: report.driver,
    implementation: session.implementation,
    threads: report.threads,
    compute: session.compute,
  }
}
