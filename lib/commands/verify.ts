/**
 * verify: is a proof file true? Exit code 0 valid, 1 not valid, 2 unreadable.
 *
 * JSON: {"file", "valid", "reason": null or {"code", "message"}, "signer": {"public_key", "address"},
 *  "statement": {"kind", "params", "params_name", "block_hash", "public_key", "partition": {"node_id", "node_count",
 *    "group_id", "group_count"}, "r_target", "searched", "artifacts"} or null,
 *  "environment": {...}, "timing": {"started_unix_ms", "elapsed_seconds", "init_seconds", "vouched_by"},
 *  "energy": {"method", "joules"},
 *  "recomputed": {"computed", "of", "mismatches", "max_difference", "tolerance", "seconds", "detects_1_percent"} or null}.
 */
import { InvalidArgumentError } from 'commander'
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import type { VerifyResult } from '../proof/verify.ts'
import { paint, startProgress, threeDigits } from '../terminal.ts'
import { type Define, type DeviceOptions, integer, jsonOption, openDevice, withDeviceOptions } from './command.ts'

interface Options extends DeviceOptions {
  readonly sample: number | 'all'
  readonly publicKey?: string
  readonly blockHash?: string
  readonly params?: string
  readonly json?: boolean
}

export const define: Define = (command, run) => {
  withDeviceOptions(command.argument('<file>', 'a proof file'))
    .option('--sample <n>', 'how many distances to recompute, or "all"', parseSample, 32)
    .option('--public-key <hex>', 'refuse a proof of any other key')
    .option('--block-hash <text>', 'refuse a proof for any other block hash')
    .option('--params <set>', 'refuse a proof with other parameters than default, v1, v2 or a JSON file')
    .option(...jsonOption)
    .action(run(verify))
}

function parseSample(text: string): number | 'all' {
  if (text === 'all') return text
  if (!/^\d/.test(text)) throw new InvalidArgumentError('Expected a number or "all".')
  return integer(1)(text)
}

async function verify(io: Io, path: string, options: Options): Promise<number> {
  const [{ readBytes }, { limits }, { verifyProof }, { loadParams }] = await Promise.all([
    import('../files.ts'),
    import('../proof/payload.ts'),
    import('../proof/verify.ts'),
    import('../protocol/params.ts'),
  ])
  const bytes = await readBytes(path, limits.fileBytes)
  const progress = startProgress(io)
  let device: Awaited<ReturnType<typeof openDevice>> | undefined
  try {
    const result = await verifyProof(bytes, {
      device: async () => {
        device = await openDevice(io, options)
        return device
      },
      sample: options.sample,
      expect: {
        ...(options.publicKey === undefined ? {} : { publicKey: options.publicKey.toLowerCase() }),
        ...(options.blockHash === undefined ? {} : { blockHash: options.blockHash }),
        ...(options.params === undefined ? {} : { params: await loadParams(options.params) }),
      },
      onProgress: (text, fraction) => progress.update(text, fraction),
      signal: io.signal,
    })
    progress.done()
    if (options.json) writeJson(io, await describeJson(path, result))
    else io.out.write(await describeText(io, path, result))
    return result.valid ? exitCodes.ok : exitCodes.failed
  } finally {
    progress.done()
    await device?.close()
  }
}

async function describeJson(file: string, result: VerifyResult): Promise<object> {
  const [{ paramsName }, { detectionProbability }] = await Promise.all([
    import('../protocol/params.ts'),
    import('../proof/sample.ts'),
  ])
  const { payload, recomputation, publicKey, address, valid, problem } = result
  const statement = payload?.statement
  const total = statement?.nonces.length ?? 0
  return {
    file,
    valid,
    reason: problem ?? null,
    signer: payload ? { public_key: Buffer.from(publicKey).toString('hex'), address } : null,
    statement: statement
      ? {
          kind: statement.kind,
          params: statement.params,
          params_name: paramsName(statement.params) ?? null,
          block_hash: statement.blockHash,
          public_key: statement.publicKey,
          partition: toJson(statement.partition),
          r_target: statement.rTarget ?? null,
          searched: Number(statement.searched),
          artifacts: total,
        }
      : null,
    environment: payload ? toJson(payload.environment) : null,
    timing: payload
      ? {
          started_unix_ms: Number(payload.timing.startedUnixMs),
          elapsed_seconds: Number(payload.timing.elapsedNs) / 1e9,
          init_seconds: Number(payload.timing.initNs) / 1e9,
          vouched_by: payload.timing.vouchedBy,
        }
      : null,
    energy: payload ? { method: payload.energy.method, joules: payload.energy.joules ?? null } : null,
    recomputed: recomputation
      ? {
          ...(toJson(recomputation) as object),
          of: total,
          detects_1_percent: detectionProbability(total, recomputation.computed, Math.ceil(total / 100)),
        }
      : null,
  }
}

async function describeText(io: Io, file: string, result: VerifyResult): Promise<string> {
  const [{ paramsName, parameterCount }, { detectionProbability }] = await Promise.all([
    import('../protocol/params.ts'),
    import('../proof/sample.ts'),
  ])
  const { payload, recomputation, problem } = result
  const lines: string[] = []
  if (payload) {
    const { statement, environment, timing, energy } = payload
    const { nonces, searched, params, partition } = statement
    const seconds = Number(timing.elapsedNs) / 1e9
    const name = paramsName(params)
    lines.push(
      `signed by    ${result.address} (${Buffer.from(result.publicKey).toString('hex')})`,
      `statement    PoC v1, ${nonces.length} artifacts from ${searched} nonces` +
        (statement.rTarget === undefined ? '' : `, distances below ${statement.rTarget}`),
      `parameters   ${name ?? 'of their own'}: ${(parameterCount(params) / 1e6).toFixed(1)} M weights, ${params.n_layers} layers, seq_len ${params.seq_len}`,
      `block hash   ${JSON.stringify(statement.blockHash)}`,
      `partition    node ${partition.nodeId} of ${partition.nodeCount}, group ${partition.groupId} of ${partition.groupCount}`,
      `ran on       ${environment.device} ${environment.deviceName}, ${environment.arch} (as the prover says)`,
      `took         ${threeDigits(seconds)} s from ${new Date(Number(timing.startedUnixMs)).toISOString()}, by the prover's own clock`,
      `energy       ${energy.joules === undefined ? energy.method : `${threeDigits(energy.joules)} J, read by ${energy.method}`}`,
    )
    if (recomputation) {
      const { computed, mismatches, maxDifference, tolerance } = recomputation
      const chance = detectionProbability(nonces.length, computed, Math.ceil(nonces.length / 100))
      lines.push(
        `recomputed   ${computed} of ${nonces.length} distances in ${threeDigits(recomputation.seconds)} s: ` +
          `${mismatches} differ, largest difference ${maxDifference.toExponential(1)} (tolerance ${tolerance})`,
        `             one invented distance in a hundred would be found with probability ${threeDigits(chance)}`,
      )
    }
  }
  const verdict = result.valid
    ? paint(io, io.out, 'green', 'VALID')
    : `${paint(io, io.out, 'red', 'NOT VALID')}: ${problem?.code}: ${problem?.message}`
  lines.push(`${file}: ${verdict}`)
  return `${lines.join('\n')}\n`
}
