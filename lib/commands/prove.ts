/**
 * prove v1: a PoC v1 round, signed.
 *
 * JSON: {"file", "bytes", "public_key", "address", "artifacts", "searched", "elapsed_seconds", "nonces_per_second"}.
 */
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import type { Partition } from '../protocol/partition.ts'
import { startProgress, threeDigits } from '../terminal.ts'
import { type Define, type DeviceOptions, integer, jsonOption, openDevice, withDeviceOptions } from './command.ts'
import { parseRTarget, rTargetOption } from './poc-v1.ts'
import { defineProveThroughput } from './prove-throughput.ts'
import { defineProveV2 } from './prove-v2.ts'

interface Options extends DeviceOptions {
  readonly params: string
  readonly blockHash: string
  readonly publicKey?: string
  readonly nonces?: string
  readonly count?: number
  readonly first: number
  readonly nodeId: number
  readonly nodeCount: number
  readonly rTarget?: number
  readonly batch?: number
  readonly key: string
  readonly out: string
  readonly force?: boolean
  readonly json?: boolean
}

export const define: Define = (command, run) => {
  defineProveV2(command.command('v2').description("prove the artifacts of a model's files"), run)
  defineProveThroughput(command.command('throughput').description('prove an amount of exact integer products'), run)
  withDeviceOptions(command.command('v1').description('prove the distances of a seeded transformer'))
    .requiredOption('--key <file>', 'key that signs; its public key is hashed into the seeds')
    .requiredOption('--out <file>', 'the proof file to write')
    .requiredOption('--block-hash <text>', 'any text; hashed into every seed')
    .option('--params <set>', 'default, v1, v2 or a JSON file', 'default')
    .option('--nonces <list>', 'numbers and ranges: 0-63,2147483647')
    .option('--count <n>', 'instead of --nonces: so many nonces of the partition', integer(1, 2 ** 24))
    .option('--first <n>', 'with --count: skip so many nonces of the partition', integer(0), 0)
    .option('--node-id <n>', 'this node; its nonces are node-id, node-id + node-count, ...', integer(0, 2 ** 31), 0)
    .option('--node-count <n>', 'nodes that share the nonce space', integer(1, 2 ** 31 - 1), 1)
    .option(...rTargetOption, parseRTarget)
    .option('--public-key <hex>', 'must be the public key of --key')
    .option('--batch <n>', 'nonces per forward pass', integer(1, 65536))
    .option('--force', 'replace an existing file')
    .option(...jsonOption)
    .action(run(proveV1))
}

async function proveV1(io: Io, options: Options): Promise<number> {
  const [{ readKeyFile }, { loadParams }, { prove }, { writeAtomically, checkNewFile }] = await Promise.all([
    import('../chain/key-file.ts'),
    import('../protocol/params.ts'),
    import('../proof/prove.ts'),
    import('../files.ts'),
  ])
  if (!options.force) await checkNewFile(options.out)
  const key = await readKeyFile(options.key)
  const publicKey = Buffer.from(key.publicKey).toString('hex')
  if (options.publicKey !== undefined && options.publicKey.toLowerCase() !== publicKey) {
    throw new GonkaError('ERR_GK_USAGE', `--public-key is not the key of ${options.key}, which is ${publicKey}`)
  }
  const params = await loadParams(options.params)
  const partition = {
    nodeId: BigInt(options.nodeId),
    nodeCount: BigInt(options.nodeCount),
    groupId: 0n,
    groupCount: 1n,
  }
  const nonces = await chosenNonces(options, partition)
  const device = await openDevice(io, options)
  const progress = startProgress(io)
  try {
    const proof = await prove({
      key,
      device,
      params,
      partition,
      nonces,
      blockHash: options.blockHash,
      ...(options.rTarget === undefined ? {} : { rTarget: options.rTarget }),
      ...(options.batch === undefined ? {} : { batch: options.batch }),
      onProgress: (fraction, step) => progress.update(step, fraction),
      onComputed: (done) => progress.update(`${done} of ${nonces.length} nonces`, done / nonces.length),
      signal: io.signal,
      now: io.now,
    })
    progress.done()
    await writeAtomically(options.out, proof.bytes, options.force ? { force: true } : {})
    const { statement, timing } = proof.payload
    const seconds = Number(timing.elapsedNs) / 1e9
    if (options.json) {
      writeJson(io, {
        file: options.out,
        bytes: proof.bytes.length,
        public_key: publicKey,
        address: key.address,
        artifacts: statement.nonces.length,
        searched: Number(statement.searched),
        elapsed_seconds: seconds,
        nonces_per_second: Number(statement.searched) / seconds,
      })
    } else {
      io.out.write(
        `${options.out}: ${statement.nonces.length} artifacts from ${statement.searched} nonces in ${threeDigits(seconds)} s ` +
          `(${threeDigits(Number(statement.searched) / seconds)} nonces/s), signed by ${key.address}\n`,
      )
    }
    return exitCodes.ok
  } finally {
    progress.done()
    await device.close()
  }
}

async function chosenNonces(options: Options, partition: Partition): Promise<BigInt64Array> {
  if ((options.nonces === undefined) === (options.count === undefined)) {
    throw new GonkaError('ERR_GK_USAGE', 'give either --nonces or --count')
  }
  const { checkedPartition, partitionNonces } = await import('../protocol/partition.ts')
  checkedPartition(partition)
  if (options.count !== undefined) return partitionNonces(partition, BigInt(options.first), options.count)
  const { parseNonceList } = await import('../protocol/nonce-list.ts')
  return parseNonceList(options.nonces ?? '')
}
