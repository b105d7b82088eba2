/** What `verify` says about a proof, as JSON and as text. */
import type { Io } from '../io.ts'
import { toJson } from '../json.ts'
import type {
  Environment,
  MatmulPowStatement,
  PocV1Statement,
  PocV2Statement,
  Statement,
  Timing,
} from '../proof/payload.ts'
import type { Recomputation } from '../proof/recompute.ts'
import { detectionProbability } from '../proof/sample.ts'
import type { VerifyResult } from '../proof/verify.ts'
import { provenWork } from '../protocol/matmul-pow-work.ts'
import { parameterCount, paramsName } from '../protocol/params.ts'
import { paint, siNumber, threeDigits } from '../terminal.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const secondsOf = (nanoseconds: bigint): number => Number(nanoseconds) / 1e9

/** Chance that the recomputation would have found one wrong artifact in a hundred. */
const chanceOf = (total: number, { computed }: Recomputation): number =>
  detectionProbability(total, computed, Math.ceil(total / 100))

export function describeJson(file: string, result: VerifyResult, listShares: boolean): object {
  const { payload, recomputation, publicKey, address, valid, problem } = result
  if (!payload) return { file, valid, reason: problem ?? null, signer: null, statement: null, recomputed: null }
  const { statement, environment, timing, energy } = payload
  const total = statement.nonces.length
  return {
    file,
    valid,
    reason: problem ?? null,
    signer: { public_key: hex(publicKey), address },
    statement: statementJson(statement),
    ...(statement.kind === 'matmul_pow' ? matmulPowFigures(statement, valid, listShares) : {}),
    environment: toJson(environment),
    timing: {
      started_unix_ms: Number(timing.startedUnixMs),
      elapsed_seconds: secondsOf(timing.elapsedNs),
      init_seconds: secondsOf(timing.initNs),
      vouched_by: timing.vouchedBy,
    },
    energy: { method: energy.method, joules: energy.joules ?? null },
    recomputed: recomputation
      ? { ...(toJson(recomputation) as object), of: total, detects_1_percent: chanceOf(total, recomputation) }
      : null,
  }
}

function statementJson(statement: Statement): object {
  switch (statement.kind) {
    case 'poc_v1':
      return pocV1Json(statement)
    case 'poc_v2':
      return pocV2Json(statement)
    case 'matmul_pow':
      return matmulPowJson(statement)
  }
}

function pocV2Json(statement: PocV2Statement): object {
  const { kind, modelSha256, architecture, blockHash, publicKey, seqLen, kDim, rng, searched, nonces } = statement
  return {
    kind,
    model_digest: hex(modelSha256),
    architecture,
    block_hash: blockHash,
    public_key: publicKey,
    seq_len: seqLen,
    k_dim: kDim,
    rng,
    searched: Number(searched),
    artifacts: nonces.length,
  }
}

function pocV1Json(statement: PocV1Statement): object {
  return {
    kind: statement.kind,
    params: statement.params,
    params_name: paramsName(statement.params) ?? null,
    block_hash: statement.blockHash,
    public_key: statement.publicKey,
    partition: toJson(statement.partition),
    r_target: statement.rTarget ?? null,
    searched: Number(statement.searched),
    artifacts: statement.nonces.length,
  }
}

function matmulPowJson({ kind, profile, m, n, k, shares, publicKey, challenge, target }: MatmulPowStatement): object {
  const params = { profile, m, n, k, shares }
  return { kind, params, public_key: hex(publicKey), challenge: hex(challenge), target: hex(target) }
}

function matmulPowFigures(statement: MatmulPowStatement, valid: boolean, listShares: boolean): object {
  const { kind: _, ...same } = matmulPowJson(statement) as { kind: string }
  const shares = Array.from(statement.nonces, (nonce, i) => ({
    nonce: String(nonce),
    bi: statement.bi[i],
    bj: statement.bj[i],
  }))
  // An invalid proof proves no work.
  return { ...same, work: valid ? toJson(provenWork(statement)) : null, ...(listShares ? { shares } : {}) }
}

export function describeText(io: Io, file: string, result: VerifyResult): string {
  const { payload, recomputation, problem, valid } = result
  const lines: string[] = []
  if (payload) {
    const { statement, environment, timing, energy } = payload
    lines.push(`signed by    ${result.address} (${hex(result.publicKey)})`)
    lines.push(...statementLines(statement, timing, valid))
    lines.push(...originLines(environment, timing))
    const joules =
      energy.joules === undefined ? energy.method : `${threeDigits(energy.joules)} J, read by ${energy.method}`
    lines.push(`energy       ${joules}`)
    if (recomputation) lines.push(...recomputedLines(recomputation, statement.nonces.length))
  }
  const verdict = valid
    ? paint(io, io.out, 'green', 'VALID')
    : `${paint(io, io.out, 'red', 'NOT VALID')}: ${problem?.code}: ${problem?.message}`
  return `${[...lines, `${file}: ${verdict}`].join('\n')}\n`
}

function statementLines(statement: Statement, timing: Timing, valid: boolean): string[] {
  switch (statement.kind) {
    case 'poc_v1':
      return pocV1Lines(statement)
    case 'poc_v2':
      return pocV2Lines(statement)
    case 'matmul_pow':
      return matmulPowLines(statement, timing, valid)
  }
}

function pocV2Lines(statement: PocV2Statement): string[] {
  const { nonces, searched, architecture, modelSha256, seqLen, kDim, rng, blockHash } = statement
  return [
    `statement    PoC v2, ${nonces.length} artifacts from ${searched} nonces`,
    `model        ${architecture}, digest ${hex(modelSha256)}`,
    `parameters   seq_len ${seqLen}, k_dim ${kDim}, ${rng}`,
    `block hash   ${JSON.stringify(blockHash)}`,
  ]
}

function pocV1Lines({ nonces, searched, rTarget, params, blockHash, partition }: PocV1Statement): string[] {
  const weights = `${(parameterCount(params) / 1e6).toFixed(1)} M weights`
  const name = paramsName(params) ?? 'of their own'
  const { nodeId, nodeCount, groupId, groupCount } = partition
  return [
    `statement    PoC v1, ${nonces.length} artifacts from ${searched} nonces${rTarget === undefined ? '' : `, distances below ${rTarget}`}`,
    `parameters   ${name}: ${weights}, ${params.n_layers} layers, seq_len ${params.seq_len}`,
    `block hash   ${JSON.stringify(blockHash)}`,
    `partition    node ${nodeId} of ${nodeCount}, group ${groupId} of ${groupCount}`,
  ]
}

function matmulPowLines(statement: MatmulPowStatement, timing: Timing, valid: boolean): string[] {
  const { profile, m, n, k, shares, challenge } = statement
  const lines = [
    `statement    matmul-pow, ${shares} shares of ${profile} products ${m}x${n}x${k}`,
    `challenge    ${hex(challenge)}`,
  ]
  if (!valid) return lines
  const { macs, macsLowerBound, relativeSpread } = provenWork(statement)
  const percent = threeDigits(relativeSpread * 100)
  lines.push(
    `work         ${siNumber(macs)}MAC +- ${percent}%; at least ${siNumber(macsLowerBound)}MAC with confidence 0.999`,
  )
  const seconds = secondsOf(timing.elapsedNs)
  if (seconds > 0) lines.push(`rate         ${siNumber(macs / seconds)}MAC/s, if the prover's clock is believed`)
  return lines
}

function originLines(environment: Environment, timing: Timing): string[] {
  const started = new Date(Number(timing.startedUnixMs))
  const when = Number.isNaN(started.getTime()) ? `${timing.startedUnixMs} ms after 1970` : started.toISOString()
  return [
    `ran on       ${environment.device} ${environment.deviceName}, ${environment.arch} (as the prover says)`,
    `took         ${threeDigits(secondsOf(timing.elapsedNs))} s from ${when}, by the prover's own clock`,
  ]
}

function recomputedLines(recomputation: Recomputation, total: number): string[] {
  const { kind, computed, mismatches, maxDifference, tolerance, seconds } = recomputation
  const found =
    kind === 'matmul_pow'
      ? `${mismatches} do not win`
      : `${mismatches} differ, largest difference ${maxDifference.toExponential(1)} (tolerance ${tolerance})`
  const what = { poc_v1: 'distances', poc_v2: 'vectors', matmul_pow: 'shares' }[kind]
  return [
    `recomputed   ${computed} of ${total} ${what} in ${threeDigits(seconds)} s: ${found}`,
    `             one invented in a hundred would be found with probability ${threeDigits(chanceOf(total, recomputation))}`,
  ]
}
