/**
 * Throughput certificates: an issuer's signed word that a proof answers its challenge and how long that took by its own
 * clock. The challenge is random bytes that exist only from the moment of issue and are hashed into every ticket, so none
 * of the certified work can be older.
 */
import { createHash } from 'node:crypto'
import { isPublicKey, publicKeyOf, sign, verifySignature } from '../chain/keys.ts'
import { GonkaError } from '../errors.ts'
import { jobProblem, type MatmulPowJob, type MatmulPowProfile, matmulPowProfiles } from '../protocol/matmul-pow.ts'
import type { Statement } from './payload.ts'
import {
  decodeMessage,
  exactBytes,
  integer,
  messageType,
  number,
  own,
  requireCanonical,
  unreadable,
  withoutDefaults,
} from './wire.ts'

export interface Certificate {
  /** 32 bytes: SHA-256 of the proof file. */
  readonly proofSha256: Uint8Array
  readonly job: MatmulPowJob
  /** When the challenge left the issuer and when the whole proof had arrived. */
  readonly issuedUnixMs: bigint
  readonly receivedUnixMs: bigint
  /** Between the two: the larger of a monotonic clock and the wall clock. */
  readonly elapsedNs: bigint
  /** Shares that the issuer recomputed, all of which won. */
  readonly checked: number
}

export interface SignedCertificate {
  readonly certificate: Certificate
  /** The issuer's, 33 bytes. */
  readonly publicKey: Uint8Array
}

/** A certificate file has some 350 bytes. */
export const certificateLimit = 4096
const version = 1
const domain = Buffer.from('gonka-miner/throughput-certificate/v1')

export function signCertificate(certificate: Certificate, privateKey: Uint8Array): Uint8Array {
  const payload = encodeCertificate(certificate)
  const signature = sign(signedBytes(payload), privateKey)
  return encodeFile({ payload, publicKey: publicKeyOf(privateKey), signature })
}

/**
 * Throws ERR_GK_PROOF_UNREADABLE for anything that is not a complete, canonical certificate, ERR_GK_PROOF_SIGNATURE if
 * its key did not sign it, and ERR_GK_PROOF_PARAMS if what it says cannot be.
 */
export function openCertificate(bytes: Uint8Array): SignedCertificate {
  if (bytes.length > certificateLimit) {
    throw unreadable(`the certificate has ${bytes.length} bytes; at most ${certificateLimit} are accepted`)
  }
  const message = decodeMessage('CertificateFile', bytes, 'a certificate')
  const payload = own(message, 'payload')
  if (!(payload instanceof Uint8Array) || payload.length === 0) throw unreadable('the certificate holds no payload')
  const file = {
    payload: Uint8Array.from(payload),
    publicKey: exactBytes(message, 'publicKey', 33),
    signature: exactBytes(message, 'signature', 64),
  }
  requireCanonical(bytes, encodeFile(file), 'the certificate')
  if (!isPublicKey(file.publicKey) || !verifySignature(file.signature, signedBytes(file.payload), file.publicKey)) {
    throw new GonkaError('ERR_GK_PROOF_SIGNATURE', 'the signature does not belong to certificate and key')
  }
  const certificate = decodeCertificate(file.payload)
  const problem = certificateProblem(certificate, file.publicKey)
  if (problem !== undefined) throw new GonkaError('ERR_GK_PROOF_PARAMS', problem)
  return { certificate, publicKey: file.publicKey }
}

/** Why the certificate is not about this proof file with this statement, or undefined. */
export function certificateMismatch(
  { proofSha256, job }: Certificate,
  proof: Uint8Array,
  statement: Statement,
): string | undefined {
  const digest = createHash('sha256').update(proof).digest()
  if (Buffer.compare(digest, proofSha256) !== 0) {
    return `the certificate is for the proof with SHA-256 ${hex(proofSha256)}; this one has ${digest.toString('hex')}`
  }
  if (statement.kind !== 'matmul_pow') return 'the certificate is for a matmul-pow proof'
  const same =
    (['profile', 'm', 'n', 'k', 'shares'] as const).every((name) => job[name] === statement[name]) &&
    (['target', 'challenge', 'publicKey'] as const).every((name) => Buffer.compare(job[name], statement[name]) === 0)
  return same ? undefined : 'the certificate names another job than the proof'
}

function certificateProblem(
  { job, issuedUnixMs, receivedUnixMs, elapsedNs, checked }: Certificate,
  issuer: Uint8Array,
): string | undefined {
  const problem = jobProblem(job)
  if (problem !== undefined) return problem
  if (Buffer.compare(job.publicKey, issuer) === 0) return 'the prover has certified itself: the issuer must be another'
  if (receivedUnixMs < issuedUnixMs) return 'the proof was received before the challenge was issued'
  if (elapsedNs < 1n) return 'no time passed between challenge and proof'
  if (checked < 1 || checked > job.shares) return `${checked} of ${job.shares} shares were checked`
  return undefined
}

function signedBytes(payload: Uint8Array): Uint8Array {
  return Buffer.concat([domain, payload])
}

function encodeFile(file: { payload: Uint8Array; publicKey: Uint8Array; signature: Uint8Array }): Uint8Array {
  return messageType('CertificateFile').encode(withoutDefaults(file)).finish()
}

function encodeCertificate({ job, ...rest }: Certificate): Uint8Array {
  return messageType('Certificate')
    .encode(withoutDefaults({ version, ...rest, ...job, profile: matmulPowProfiles[job.profile] }))
    .finish()
}

function decodeCertificate(bytes: Uint8Array): Certificate {
  const message = decodeMessage('Certificate', bytes, 'a certificate')
  const given = own(message, 'version') ?? 0
  if (given !== version) throw unreadable(`certificate version ${given}; this program reads version ${version}`)
  const wanted = number(message, 'profile')
  const profile = (Object.keys(matmulPowProfiles) as MatmulPowProfile[]).find(
    (name) => matmulPowProfiles[name] === wanted,
  )
  if (profile === undefined) throw unreadable(`matmul-pow profile ${wanted} is neither 1 (i8) nor 2 (i4)`)
  const certificate: Certificate = {
    proofSha256: exactBytes(message, 'proofSha256', 32),
    job: {
      profile,
      m: number(message, 'm'),
      n: number(message, 'n'),
      k: number(message, 'k'),
      shares: number(message, 'shares'),
      target: exactBytes(message, 'target', 32),
      challenge: exactBytes(message, 'challenge', 32),
      publicKey: exactBytes(message, 'publicKey', 33),
    },
    issuedUnixMs: integer(own(message, 'issuedUnixMs')),
    receivedUnixMs: integer(own(message, 'receivedUnixMs')),
    elapsedNs: integer(own(message, 'elapsedNs')),
    checked: number(message, 'checked'),
  }
  requireCanonical(bytes, encodeCertificate(certificate), 'the certificate')
  return certificate
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
