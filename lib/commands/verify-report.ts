/** What `verify` says about a proof, as JSON and as text. */
import type { Io } from '../io.ts'
import { toJson } from '../json.ts'
import type { SignedCertificate } from '../proof/certificate.ts'
import type {
  Energy,
  Environment,
  MatmulPowStatement,
  PocV1Statement,
  PocV2Statement,
  Statement,
  Timing,
} from '../proof/payload.ts'
import type { Recomputation } from '../proof/recompute.ts'
import type { VerifyResult } from '../proof/verify.ts'
import { detectionProbability } from '../protocol/detection.ts'
import { tileSize } from '../protocol/matmul-pow.ts'
import { type ProvenWork, provenWork } from '../protocol/matmul-pow-work.ts'
import { parameterCount, paramsName } from '../protocol/params.ts'
import { paint, siNumber, threeDigits } from '../terminal.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const secondsOf = (nanoseconds: bigint): number => Number(nanoseconds) / 1e9

/** Chance that the recomputation would have found one wrong artifact in a hundred. */
const chanceOf = (total: number, { computed }: Recomputation): number =>
  detectionProbability(total, computed, Math.ceil(total / 100))

export interface ReportExtras {
  readonly listShares: boolean
  /** Known to belong to a valid proof. */
  readonly certificate?: SignedCertificate
}

export function describeJson(file: string, result: VerifyResult, extras: ReportExtras): object {
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
    ...(statement.kind === 'matmul_pow' ? matmulPowFigures(statement, result, extras) : {}),
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

function matmulPowFigures(
  statement: MatmulPowStatement,
  { valid, payload, recomputation }: VerifyResult,
  { listShares, certificate }: ReportExtras,
): object {
  const { kind: _, ...same } = matmulPowJson(statement) as { kind: string }
  const shares = Array.from(statement.nonces, (nonce, i) => ({
    nonce: String(nonce),
    bi: statement.bi[i],
    bj: statement.bj[i],
  }))
  // An invalid proof proves no work.
  const work = valid ? provenWork(statement, recomputation?.computed) : undefined
  const joules = payload?.energy.joules
  return {
    ...same,
    work: work ? toJson(work) : null,
    verification: recomputation
      ? {
          macs: macsOf(statement, recomputation.computed),
          seconds: recomputation.seconds,
          work_per_verification: work ? work.macs / macsOf(statement, recomputation.computed) : null,
        }
      : null,
    joules_per_tmac: work && joules !== undefined ? joules / (work.macs / 1e12) : null,
    certified: work && certificate ? certifiedJson(work, certificate) : null,
    ...(listShares ? { shares } : {}),
  }
}

/** Multiply-accumulates of recomputing so many tiles. */
function macsOf({ k }: MatmulPowStatement, tiles: number): number {
  return tiles * tileSize * tileSize * k
}

const elapsedOf = ({ certificate }: SignedCertificate): number => secondsOf(certificate.elapsedNs)

function certifiedJson(work: ProvenWork, certificate: SignedCertificate): object {
  const seconds = elapsedOf(certificate)
  return {
    issuer: hex(certificate.publicKey),
    elapsed_seconds: seconds,
    macs_per_second: work.macs / seconds,
    macs_per_second_lower_bound: work.macsLowerBound / seconds,
  }
}

export function describeText(io: Io, file: string, result: VerifyResult, { certificate }: ReportExtras): string {
  const { payload, recomputation, problem, valid } = result
  const lines: string[] = []
  if (payload) {
    const { statement, environment, timing, energy } = payload
    lines.push(`signed by    ${result.address} (${hex(result.publicKey)})`)
    lines.push(...statementLines(statement, result, certificate))
    lines.push(...originLines(environment, timing))
    lines.push(energyLine(energy, statement, valid))
    if (recomputation) lines.push(...recomputedLines(recomputation, statement.nonces.length))
    if (recomputation && statement.kind === 'matmul_pow' && valid) lines.push(costLine(recomputation, statement))
  }
  const verdict = valid
    ? paint(io, io.out, 'green', 'VALID')
    : `${paint(io, io.out, 'red', 'NOT VALID')}: ${problem?.code}: ${problem?.message}`
  return `${[...lines, `${file}: ${verdict}`].join('\n')}\n`
}

function energyLine({ method, joules }: Energy, statement: Statement, valid: boolean): string {
  if (joules === undefined) return `energy       ${method}`
  const per =
    statement.kind === 'matmul_pow' && valid
      ? `, ${threeDigits(joules / (provenWork(statement).macs / 1e12))} J/TMAC`
      : ''
  return `energy       ${threeDigits(joules)} J${per}, read by ${method} (as the prover says)`
}

function costLine({ computed, seconds }: Recomputation, statement: MatmulPowStatement): string {
  const macs = macsOf(statement, computed)
  const ratio = siNumber(provenWork(statement).macs / macs)
  return `cost         ${siNumber(macs)}MAC and ${threeDigits(seconds)} s of verification; the work proven is ${ratio} times that`
}

function statementLines(
  statement: Statement,
  { payload, valid, recomputation }: VerifyResult,
  certificate: SignedCertificate | undefined,
): string[] {
  switch (statement.kind) {
    case 'poc_v1':
      return pocV1Lines(statement)
    case 'poc_v2':
      return pocV2Lines(statement)
    case 'matmul_pow':
      return matmulPowLines(statement, payload?.timing, valid ? (recomputation?.computed ?? 0) : undefined, certificate)
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

function matmulPowLines(
  statement: MatmulPowStatement,
  timing: Timing | undefined,
  /** How many shares were recomputed; undefined if the proof is not valid. */
  checked: number | undefined,
  certificate: SignedCertificate | undefined,
): string[] {
  const { profile, m, n, k, shares, challenge } = statement
  const lines = [
    `statement    matmul-pow, ${shares} shares of ${profile} products ${m}x${n}x${k}`,
    `challenge    ${hex(challenge)}`,
  ]
  if (checked === undefined) return lines
  const { macs, macsLowerBound, relativeSpread } = provenWork(statement, checked)
  const percent = threeDigits(relativeSpread * 100)
  lines.push(
    `work         ${siNumber(macs)}MAC +- ${percent}%; at least ${siNumber(macsLowerBound)}MAC with confidence 0.999`,
  )
  if (certificate) {
    const seconds = elapsedOf(certificate)
    const rates = `${siNumber(macs / seconds)}MAC/s, at least ${siNumber(macsLowerBound / seconds)}MAC/s`
    lines.push(`rate         ${rates}, in ${threeDigits(seconds)} s by the clock of ${hex(certificate.publicKey)}`)
    return lines
  }
  const seconds = secondsOf(timing?.elapsedNs ?? 0n)
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
