/** Signed proof files. */
import { publicKeyOf, sign, verifySignature } from '../chain/keys.ts'
import { GonkaError } from '../errors.ts'
import { decodePayload, encodePayload, encodeProofFile, type ProofFile } from './codec.ts'
import { limits, type Payload } from './payload.ts'
import { environmentProblem, statementProblem } from './statement.ts'

/** The bytes of a proof file. Throws the code of what is wrong with the payload: what is signed here verifies. */
export function signProof(payload: Payload, privateKey: Uint8Array): Uint8Array {
  const publicKey = publicKeyOf(privateKey)
  const problem =
    statementProblem(payload.statement, Buffer.from(publicKey).toString('hex')) ?? environmentProblem(payload)
  if (problem) throw new GonkaError(problem.code, problem.message)
  const bytes = encodePayload(payload)
  decodePayload(bytes) // limits of lengths and counts
  const file = encodeProofFile({ payload: bytes, publicKey, signature: sign(bytes, privateKey) })
  if (file.length > limits.fileBytes) {
    throw new GonkaError(
      'ERR_GK_NONCES',
      `the proof would have ${file.length} bytes; at most ${limits.fileBytes} are accepted: split the nonces over several`,
    )
  }
  return file
}

/** Whether the file's key signed the file's payload. */
export function hasValidSignature(file: ProofFile): boolean {
  return verifySignature(file.signature, file.payload, file.publicKey)
}
