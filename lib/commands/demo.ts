/**
 * demo: everything once, on this machine's CPU, without network: devices, self-test, a short bench, a PoC v1 round,
 * its proof, verification, and a tampered copy that is rejected. Exit code 1 if one of them is not as it should be.
 *
 * JSON: {"device", "selftest": {"passed", "failed", "skipped"}, "figures": [as bench], "nonces", "nonces_per_second",
 *  "proof_bytes", "verified", "recomputed", "max_difference", "tampered_rejected", "seconds"}.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bench } from '../bench/bench.ts'
import { figureTable } from '../bench/render.ts'
import { loadSuite } from '../bench/suite.ts'
import { keyOf, readKeyFile, writeKeyFile } from '../chain/key-file.ts'
import { randomPrivateKey } from '../chain/keys.ts'
import { exitCodes } from '../errors.ts'
import { readBytes, writeAtomically } from '../files.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import type { NativeDevice } from '../native-api.ts'
import { limits } from '../proof/payload.ts'
import { prove } from '../proof/prove.ts'
import { verifyProof } from '../proof/verify.ts'
import { loadParams } from '../protocol/params.ts'
import { partitionNonces, wholePartition } from '../protocol/partition.ts'
import { paint, startProgress, threeDigits } from '../terminal.ts'
import { type Define, type DeviceOptions, integer, jsonOption, openDevice, withDeviceOptions } from './command.ts'

interface Options extends DeviceOptions {
  readonly params: string
  readonly nonces: number
  readonly json?: boolean
}

/** Fills about half a minute on two processor threads. */
const defaultNonces = 128
const blockHash = 'gonka-miner demo'
/** Distances computed anew by the verification. */
const sample = 16

export const define: Define = (command, run) => {
  withDeviceOptions(command)
    .option('--params <set>', 'parameters of the round: default, v1, v2 or a JSON file', 'default')
    .option('--nonces <n>', 'size of the round', integer(1, 65536), defaultNonces)
    .option(...jsonOption)
    .action(run(demo))
}

async function demo(io: Io, options: Options): Promise<number> {
  const began = io.now()
  const params = await loadParams(options.params)
  const device = await openDevice(io, options)
  let folder: string | undefined
  try {
    folder = await mkdtemp(join(tmpdir(), 'gonka-miner-demo-'))
    const say = options.json ? () => undefined : (text: string) => io.out.write(text)
    const title = (text: string): void => void say(`\n${paint(io, io.out, 'bold', text)}\n`)
    const { name, arch, threads } = await device.report()
    title('Device')
    say(`${device.id}  ${name}, ${arch}${threads > 0 ? `, ${threads} threads` : ''}\n`)

    title('Self-test: known answers of every implementation')
    const selftest = await device.selftest(undefined, () => undefined, io.signal)
    say(`${selftest.passed} passed, ${selftest.failed} failed, ${selftest.skipped} skipped\n`)

    title('Bench: a glance')
    const { cases } = await loadSuite('glance')
    const { figures } = await bench({ device, cases, method: { seconds: 0.5 }, signal: io.signal })
    say(figureTable(figures))

    title(`PoC v1: ${options.nonces} nonces, ${options.params} parameters`)
    const file = join(folder, 'proof.gkp')
    const round = await proveRound(io, device, options, params, folder, file)
    say(`${threeDigits(round.noncesPerSecond)} nonces/s; the model took ${threeDigits(round.initSeconds)} s to make\n`)
    say(`proof of ${round.bytes} bytes, signed by ${round.address}\n`)

    title('Verification: as a stranger with nothing but the file')
    const verified = await verifyFile(io, device, file)
    const { valid, recomputation } = verified
    say(
      `${valid ? paint(io, io.out, 'green', 'VALID') : `${paint(io, io.out, 'red', 'NOT VALID')}: ${verified.problem?.message}`}` +
        `${recomputation ? `: ${recomputation.computed} distances recomputed, largest difference ${recomputation.maxDifference.toExponential(1)}` : ''}\n`,
    )

    title('Tampering: one byte of a copy changed')
    const tampered = await readBytes(file, limits.fileBytes)
    const middle = Math.floor(tampered.length / 2)
    tampered[middle] = (tampered[middle] as number) ^ 1
    const copy = join(folder, 'tampered.gkp')
    await writeFile(copy, tampered)
    const rejected = await verifyFile(io, device, copy)
    const word = rejected.valid ? paint(io, io.out, 'red', 'ACCEPTED') : paint(io, io.out, 'green', 'rejected')
    say(`${word}${rejected.problem ? `: ${rejected.problem.message}` : ''}\n`)

    const seconds = (io.now() - began) / 1000
    say(`\nAll of it took ${threeDigits(seconds)} s. Next: gonka-miner --help\n`)
    if (options.json) {
      writeJson(io, {
        device: device.id,
        selftest,
        figures: toJson(figures),
        nonces: options.nonces,
        nonces_per_second: round.noncesPerSecond,
        proof_bytes: round.bytes,
        verified: valid,
        recomputed: recomputation?.computed ?? 0,
        max_difference: recomputation?.maxDifference ?? null,
        tampered_rejected: !rejected.valid,
        seconds,
      })
    }
    return valid && !rejected.valid && selftest.failed === 0 && selftest.passed > 0 ? exitCodes.ok : exitCodes.failed
  } finally {
    await device.close()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
}

async function proveRound(
  io: Io,
  device: NativeDevice,
  options: Options,
  params: Awaited<ReturnType<typeof loadParams>>,
  folder: string,
  file: string,
): Promise<{ bytes: number; address: string; noncesPerSecond: number; initSeconds: number }> {
  // Through a key file, as a miner would.
  const keyFile = join(folder, 'key.json')
  await writeKeyFile(keyFile, keyOf(randomPrivateKey()))
  const key = await readKeyFile(keyFile)
  const progress = startProgress(io)
  try {
    const proof = await prove({
      device,
      params,
      blockHash,
      key,
      nonces: partitionNonces(wholePartition, 0n, options.nonces),
      onProgress: (fraction, step) => progress.update(step, fraction),
      onComputed: (done) => progress.update(`${done} of ${options.nonces} nonces`, done / options.nonces),
      signal: io.signal,
      now: io.now,
    })
    await writeAtomically(file, proof.bytes)
    const { timing } = proof.payload
    return {
      bytes: proof.bytes.length,
      address: key.address,
      noncesPerSecond: options.nonces / (Number(timing.elapsedNs) / 1e9),
      initSeconds: Number(timing.initNs) / 1e9,
    }
  } finally {
    progress.done()
  }
}

async function verifyFile(io: Io, device: NativeDevice, file: string) {
  const progress = startProgress(io)
  try {
    return await verifyProof(await readBytes(file, limits.fileBytes), {
      device: async () => device,
      sample,
      expect: { blockHash },
      onProgress: (text, fraction) => progress.update(text, fraction),
      signal: io.signal,
    })
  } finally {
    progress.done()
  }
}
