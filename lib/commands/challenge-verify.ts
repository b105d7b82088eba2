/**
 * challenge verify: is a certificate genuine, and with --proof: is the proof it is about? Exit code 0 yes, 1 no, 2
 * unreadable. Offline.
 *
 * JSON: {"file", "valid", "reason": null or {"code", "message"}, "issuer": {"public_key", "address"} or null,
 *  "certificate": null or {"proof_sha256", "params": {"profile", "m", "n", "k", "shares"}, "public_key", "challenge",
 *  "target", "issued_unix_ms", "received_unix_ms", "elapsed_seconds", "checked"}, "work": as verify prints it,
 *  "macs_per_second", "macs_per_second_lower_bound", "proof": null or {"file", "valid", "recomputed"}}.
 */
import type { Command } from 'commander'
import { exitCodes, isGonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import type { SignedCertificate } from '../proof/certificate.ts'
import type { Problem } from '../proof/statement.ts'
import { paint, siNumber, startProgress, threeDigits } from '../terminal.ts'
import { jsonOption, type Run } from './command.ts'

interface Options {
  readonly proof?: string
  readonly publicKey?: string
  readonly json?: boolean
}

export function defineChallengeVerify(command: Command, run: Run): void {
  command
    .argument('<file>', 'a certificate')
    .option('--proof <file>', 'the proof it is about: checked as well, every share')
    .option('--public-key <hex>', 'refuse a certificate of any other issuer')
    .option(...jsonOption)
    .action(run(verify))
}

interface ProofVerdict {
  readonly file: string
  readonly valid: boolean
  readonly recomputed: number
}

async function verify(io: Io, path: string, options: Options): Promise<number> {
  const [{ readBytes }, { certificateLimit, openCertificate }, { addressOf }, { provenWork }] = await Promise.all([
    import('../files.ts'),
    import('../proof/certificate.ts'),
    import('../chain/keys.ts'),
    import('../protocol/matmul-pow-work.ts'),
  ])
  const bytes = await readBytes(path, certificateLimit)
  let signed: SignedCertificate | undefined
  let problem: Problem | undefined
  try {
    signed = openCertificate(bytes)
  } catch (error) {
    if (!isGonkaError(error) || error.code === 'ERR_GK_PROOF_UNREADABLE') throw error
    problem = { code: error.code, message: error.message }
  }
  const issuer = signed && Buffer.from(signed.publicKey).toString('hex')
  const wanted = options.publicKey?.toLowerCase()
  if (!problem && wanted !== undefined && wanted !== issuer) {
    problem = { code: 'ERR_GK_PROOF_KEY', message: `issued by ${issuer}; expected ${wanted}` }
  }
  let proof: ProofVerdict | undefined
  if (signed && !problem && options.proof !== undefined) {
    ;({ proof, problem } = await checkProof(io, signed, options.proof))
  }
  const valid = problem === undefined
  const seconds = signed ? Number(signed.certificate.elapsedNs) / 1e9 : Number.NaN
  const known = Math.max(proof?.recomputed ?? 0, signed?.certificate.checked ?? 0)
  const work = signed ? provenWork(signed.certificate.job, known) : undefined
  if (options.json) {
    writeJson(io, {
      file: path,
      valid,
      reason: problem ?? null,
      issuer: signed ? { public_key: issuer, address: addressOf(signed.publicKey) } : null,
      certificate: signed ? certificateJson(signed) : null,
      work: valid && work ? toJson(work) : null,
      macs_per_second: valid && work ? work.macs / seconds : null,
      macs_per_second_lower_bound: valid && work ? work.macsLowerBound / seconds : null,
      proof: proof ?? null,
    })
    return valid ? exitCodes.ok : exitCodes.failed
  }
  const lines: string[] = []
  if (signed && work) {
    const { job, checked, issuedUnixMs, proofSha256 } = signed.certificate
    lines.push(
      `issued by    ${addressOf(signed.publicKey)} (${issuer})`,
      `proof        SHA-256 ${Buffer.from(proofSha256).toString('hex')}`,
      `statement    matmul-pow, ${job.shares} shares of ${job.profile} products ${job.m}x${job.n}x${job.k}, ${checked} recomputed by the issuer`,
      `prover       ${addressOf(job.publicKey)} (${Buffer.from(job.publicKey).toString('hex')})`,
      `work         ${siNumber(work.macs)}MAC +- ${threeDigits(100 * work.relativeSpread)}%; at least ${siNumber(work.macsLowerBound)}MAC with confidence 0.999`,
      `time         ${threeDigits(seconds)} s from ${dateOf(issuedUnixMs)}, by the issuer's clock`,
      `rate         ${siNumber(work.macs / seconds)}MAC/s; at least ${siNumber(work.macsLowerBound / seconds)}MAC/s with confidence 0.999`,
    )
  }
  if (proof) lines.push(`with it      ${proof.file}: ${proof.recomputed} shares recomputed here`)
  const verdict = valid
    ? paint(io, io.out, 'green', 'VALID')
    : `${paint(io, io.out, 'red', 'NOT VALID')}: ${problem?.code}: ${problem?.message}`
  io.out.write(`${[...lines, `${path}: ${verdict}`].join('\n')}\n`)
  return valid ? exitCodes.ok : exitCodes.failed
}

async function checkProof(
  io: Io,
  { certificate }: SignedCertificate,
  path: string,
): Promise<{ proof: ProofVerdict | undefined; problem: Problem | undefined }> {
  const [{ readBytes }, { limits }, { verifyProof }, { certificateMismatch }] = await Promise.all([
    import('../files.ts'),
    import('../proof/payload.ts'),
    import('../proof/verify.ts'),
    import('../proof/certificate.ts'),
  ])
  const bytes = await readBytes(path, limits.fileBytes)
  const progress = startProgress(io)
  try {
    const result = await verifyProof(bytes, {
      device: async () => {
        throw new Error('matmul-pow needs no device')
      },
      checkShares: async (...given) => (await io.native()).checkShares(...given),
      sample: 'all',
      expect: { challenge: Buffer.from(certificate.job.challenge).toString('hex') },
      onProgress: (text, fraction) => progress.update(text, fraction),
      signal: io.signal,
    })
    const proof = { file: path, valid: result.valid, recomputed: result.recomputation?.computed ?? 0 }
    if (result.problem || !result.payload) return { proof, problem: result.problem }
    const mismatch = certificateMismatch(certificate, bytes, result.payload.statement)
    return {
      proof: mismatch === undefined ? proof : { ...proof, valid: false },
      problem: mismatch === undefined ? undefined : { code: 'ERR_GK_PROOF_PARAMS', message: mismatch },
    }
  } finally {
    progress.done()
  }
}

function certificateJson({ certificate }: SignedCertificate): object {
  const { proofSha256, job, issuedUnixMs, receivedUnixMs, elapsedNs, checked } = certificate
  const { profile, m, n, k, shares } = job
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  return {
    proof_sha256: hex(proofSha256),
    params: { profile, m, n, k, shares },
    public_key: hex(job.publicKey),
    challenge: hex(job.challenge),
    target: hex(job.target),
    issued_unix_ms: Number(issuedUnixMs),
    received_unix_ms: Number(receivedUnixMs),
    elapsed_seconds: Number(elapsedNs) / 1e9,
    checked,
  }
}

/** A date, or the number where it is none. */
export function dateOf(unixMs: bigint): string {
  const date = new Date(Number(unixMs))
  return Number.isNaN(date.getTime()) ? `${unixMs} ms after 1970` : date.toISOString()
}
