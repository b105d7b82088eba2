/**
 * verify: is a proof file true? Exit code 0 valid, 1 not valid, 2 unreadable.
 *
 * JSON: {"file", "valid", "reason": null or {"code", "message"}, "signer": {"public_key", "address"} or null,
 *  "statement": {...} or null, "environment": {...}, "timing": {"started_unix_ms", "elapsed_seconds", "init_seconds",
 *    "vouched_by"}, "energy": {"method", "joules"},
 *  "recomputed": {"kind", "computed", "of", "mismatches", "max_difference", "tolerance", "seconds", "detects_1_percent"}
 *    or null}.
 * Statement of PoC v1: {"kind": "poc_v1", "params", "params_name", "block_hash", "public_key", "partition": {"node_id",
 *  "node_count", "group_id", "group_count"}, "r_target", "searched", "artifacts"}.
 * Of PoC v2: {"kind": "poc_v2", "model_digest", "architecture", "block_hash", "public_key", "seq_len", "k_dim", "rng",
 *  "searched", "artifacts"}.
 * Of matmul-pow: {"kind": "matmul_pow", "params": {"profile", "m", "n", "k", "shares"}, "public_key", "challenge",
 *  "target"}; the last four stand at the top level as well, with "work": {"tiles", "relative_spread",
 *  "tiles_lower_bound", "macs", "macs_lower_bound"}, "verification": {"macs", "seconds", "work_per_verification"},
 *  "joules_per_tmac" (null unless read), "certified": null or {"issuer", "elapsed_seconds", "macs_per_second",
 *  "macs_per_second_lower_bound"} (from --certificate) and, with --shares, "shares": [{"nonce" (text), "bi", "bj"}].
 */
import { InvalidArgumentError } from 'commander'
import { exitCodes, GonkaError, isGonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import type { SignedCertificate } from '../proof/certificate.ts'
import type { Problem } from '../proof/statement.ts'
import type { VerifyResult } from '../proof/verify.ts'
import { startProgress } from '../terminal.ts'
import { type Define, type DeviceOptions, integer, jsonOption, openDevice, withDeviceOptions } from './command.ts'

interface Options extends DeviceOptions {
  readonly sample: number | 'all'
  readonly publicKey?: string
  readonly blockHash?: string
  readonly params?: string
  readonly challenge?: string
  readonly model?: string
  readonly certificate?: string
  readonly issuer?: string
  readonly shares?: boolean
  readonly json?: boolean
}

export const define: Define = (command, run) => {
  withDeviceOptions(command.argument('<file>', 'a proof file'))
    .option('--sample <n>', 'how many artifacts or shares to recompute, or "all"', parseSample, 32)
    .option('--public-key <hex>', 'refuse a proof of any other key')
    .option('--block-hash <text>', 'refuse a proof for any other block hash')
    .option('--params <set>', 'refuse a proof with other parameters than default, v1, v2 or a JSON file')
    .option('--challenge <hex>', 'refuse a matmul-pow proof for any other challenge')
    .option('--model <dir>', 'files of the model that a PoC v2 proof is about')
    .option('--certificate <file>', 'of a matmul-pow proof: the time, by the clock of whoever issued the challenge')
    .option('--issuer <hex>', 'refuse a certificate of any other issuer')
    .option('--shares', 'with --json: list the shares of a matmul-pow proof')
    .option(...jsonOption)
    .action(run(verify))
}

function parseSample(text: string): number | 'all' {
  if (text === 'all') return text
  if (!/^\d/.test(text)) throw new InvalidArgumentError('Expected a number or "all".')
  return integer(1)(text)
}

async function verify(io: Io, path: string, options: Options): Promise<number> {
  const [{ readBytes }, { limits }, { verifyProof }, { loadParams }, { describeJson, describeText }] =
    await Promise.all([
      import('../files.ts'),
      import('../proof/payload.ts'),
      import('../proof/verify.ts'),
      import('../protocol/params.ts'),
      import('./verify-report.ts'),
    ])
  const bytes = await readBytes(path, limits.fileBytes)
  if (options.issuer !== undefined && options.certificate === undefined) {
    throw new GonkaError('ERR_GK_USAGE', '--issuer is about the certificate that --certificate names')
  }
  const read =
    options.certificate === undefined ? undefined : await readCertificate(options.certificate, options.issuer)
  const progress = startProgress(io)
  let device: Awaited<ReturnType<typeof openDevice>> | undefined
  try {
    const verified = await verifyProof(bytes, {
      device: async () => {
        device = await openDevice(io, options)
        return device
      },
      checkShares: async (...given) => (await io.native()).checkShares(...given),
      sample: options.sample,
      ...(options.model === undefined
        ? {}
        : {
            model: {
              directory: options.model,
              digest: async (directory) =>
                (await io.native()).modelDigest(directory, (f, step) => progress.update(step, f), io.signal),
            },
          }),
      expect: {
        ...(options.publicKey === undefined ? {} : { publicKey: options.publicKey.toLowerCase() }),
        ...(options.blockHash === undefined ? {} : { blockHash: options.blockHash }),
        ...(options.challenge === undefined ? {} : { challenge: options.challenge.toLowerCase() }),
        ...(options.params === undefined ? {} : { params: await loadParams(options.params) }),
      },
      onProgress: (text, fraction) => progress.update(text, fraction),
      signal: io.signal,
    })
    progress.done()
    const result = read ? await certify(bytes, verified, read) : verified
    const certificate = result.valid ? read?.signed : undefined
    const extras = { listShares: options.shares === true, ...(certificate ? { certificate } : {}) }
    if (options.json) writeJson(io, describeJson(path, result, extras))
    else io.out.write(describeText(io, path, result, extras))
    return result.valid ? exitCodes.ok : exitCodes.failed
  } finally {
    progress.done()
    await device?.close()
  }
}

/** One of the two: what was read, or why nothing follows from it. */
interface ReadCertificate {
  readonly signed?: SignedCertificate
  readonly problem?: Problem
}

/** Throws what readBytes throws, and ERR_GK_PROOF_UNREADABLE. */
async function readCertificate(path: string, issuer: string | undefined): Promise<ReadCertificate> {
  const [{ readBytes }, { certificateLimit, openCertificate }] = await Promise.all([
    import('../files.ts'),
    import('../proof/certificate.ts'),
  ])
  const bytes = await readBytes(path, certificateLimit)
  try {
    const signed = openCertificate(bytes)
    const found = Buffer.from(signed.publicKey).toString('hex')
    if (issuer === undefined || issuer.toLowerCase() === found) return { signed }
    return { problem: { code: 'ERR_GK_PROOF_KEY', message: `${path}: issued by ${found}; expected ${issuer}` } }
  } catch (error) {
    if (!isGonkaError(error) || error.code === 'ERR_GK_PROOF_UNREADABLE') throw error
    return { problem: { code: error.code, message: `${path}: ${error.message}` } }
  }
}

/** The result, with the certificate's disagreement as its problem where there is one. */
async function certify(
  proof: Uint8Array,
  result: VerifyResult,
  { signed, problem }: ReadCertificate,
): Promise<VerifyResult> {
  if (!result.valid || !result.payload) return result
  if (signed === undefined) return { ...result, valid: false, ...(problem ? { problem } : {}) }
  const { certificateMismatch } = await import('../proof/certificate.ts')
  const message = certificateMismatch(signed.certificate, proof, result.payload.statement)
  return message === undefined ? result : { ...result, valid: false, problem: { code: 'ERR_GK_PROOF_PARAMS', message } }
}
