/**
 * Turns the addon's objects into those of lib/native-api.ts: the addon's { promise, cancel } into promises with an
 * AbortSignal, its errors into GonkaError, and closing into something that waits for what is under way.
 */
import { basename } from 'node:path'
import { type ErrorCode, errorCodes, GonkaError, messageOf, throwIfAborted } from './errors.ts'
import type {
  BackendReport,
  BenchLimits,
  BenchOpenRequest,
  BenchPairs,
  BenchSession,
  BenchWarmUp,
  CheckResult,
  CheckSharesRequest,
  CheckSummary,
  ConformanceRequest,
  CpuPeak,
  DeviceReport,
  MatmulPowRunRequest,
  MatmulPowStats,
  NativeApi,
  NativeDevice,
  OnShares,
  OpenDeviceRequest,
  OpName,
  PocV1OpenRequest,
  PocV1RunRequest,
  PocV1Session,
  PocV1Stats,
  PocV2OpenRequest,
  PocV2RunRequest,
  PocV2Session,
  PocV2Stats,
  Telemetry,
  TinyModelFiles,
  TinyModelRequest,
} from './native-api.ts'

/** Work on a thread of the addon. */
interface RawTask<T> {
  readonly promise: Promise<T>
  cancel(): void
}

interface RawDevice {
  readonly id: string
  report(): RawTask<DeviceReport>
  backend(): BackendReport
  selftest(op: OpName | undefined, onResult: (result: CheckResult) => void): RawTask<CheckSummary>
  conformance(request: ConformanceRequest, onResult: (result: CheckResult) => void): RawTask<CheckSummary>
  benchOpen(request: BenchOpenRequest): RawTask<RawBenchSession>
  cpuPeak(request: { readonly brief: boolean }): RawTask<CpuPeak>
  pocV1Open(request: PocV1OpenRequest, onProgress?: (fraction: number, step: string) => void): RawTask<RawPocV1Session>
  pocV2Open(request: PocV2OpenRequest, onProgress?: (fraction: number, step: string) => void): RawTask<RawPocV2Session>
  matmulPow(request: MatmulPowRunRequest, onShares: OnShares): RawTask<MatmulPowStats>
  telemetry(): RawTask<Telemetry>
  fallbacks(): readonly { op: OpName; count: number }[]
  close(): void
}

type SessionFacts = Omit<PocV1Session, 'run' | 'close'>

interface RawPocV1Session extends SessionFacts {
  run(
    request: PocV1RunRequest,
    onBatch: (nonces: BigInt64Array, dist: Float64Array, computed: number) => void,
  ): RawTask<PocV1Stats>
  close(): RawTask<void>
}

interface RawPocV2Session extends Omit<PocV2Session, 'run' | 'close'> {
  run(
    request: PocV2RunRequest,
    onBatch: (nonces: BigInt64Array, vectors: Uint8Array, computed: number) => void,
    onTrace?: (nonce: bigint, stream: Float32Array, lastHidden: Float32Array) => void,
  ): RawTask<PocV2Stats>
  close(): RawTask<void>
}

interface RawBenchSession extends Omit<BenchSession, 'warm' | 'run' | 'runPairs' | 'close'> {
  warm(request: { readonly seconds: number }): RawTask<BenchWarmUp>
  run(limits: BenchLimits): RawTask<Float64Array>
  runPairs(other: RawBenchSession, limits: BenchLimits & { readonly seed: number }): RawTask<BenchPairs>
  close(): RawTask<void>
}

/** What the .node file exports. */
export interface RawAddon
  extends Omit<NativeApi, 'loadBackend' | 'openDevice' | 'devices' | 'modelDigest' | 'makeTinyModel' | 'checkShares'> {
  modelDigest(directory: string, onProgress?: (fraction: number, step: string) => void): RawTask<string>
  makeTinyModel(request: TinyModelRequest): RawTask<TinyModelFiles>
  checkShares(request: CheckSharesRequest, onChecked?: (done: number) => void): RawTask<Uint8Array>
  devices(): RawTask<readonly DeviceReport[]>
  loadBackend(path: string, alias?: string): BackendReport
  openDevice(request: OpenDeviceRequest, onNotice?: (sentence: string) => void): RawTask<RawDevice>
}

const known: ReadonlySet<string> = new Set(errorCodes)

function toGonkaError(error: unknown): unknown {
  if (error instanceof TypeError || !(error instanceof Error)) return error
  const code = (error as { code?: unknown }).code
  if (error instanceof GonkaError || typeof code !== 'string' || !known.has(code)) return error
  return new GonkaError(code as ErrorCode, error.message, { cause: error })
}

function guarded<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw toGonkaError(error)
  }
}

/** Starts a task and cancels it when the signal says so. */
async function follow<T>(start: () => RawTask<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfAborted(signal)
  const task = guarded(start)
  const cancel = () => task.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    return await task.promise
  } catch (error) {
    throw toGonkaError(error)
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}

/** Calls under way, so that closing can cancel them and wait. */
class Pending {
  readonly #calls = new Set<{ abort: AbortController; done: Promise<unknown> }>()

  async run<T>(start: () => RawTask<T>, signal: AbortSignal | undefined): Promise<T> {
    throwIfAborted(signal)
    const abort = new AbortController()
    const forward = () => abort.abort(signal?.reason)
    signal?.addEventListener('abort', forward, { once: true })
    const done = follow(start, abort.signal)
    const call = { abort, done: done.catch(() => undefined) }
    this.#calls.add(call)
    try {
      return await done
    } finally {
      signal?.removeEventListener('abort', forward)
      this.#calls.delete(call)
    }
  }

  async cancelAll(): Promise<void> {
    for (const call of this.#calls) call.abort.abort()
    await Promise.all([...this.#calls].map((call) => call.done))
  }
}

function adaptSession(raw: RawPocV1Session, forget: (session: PocV1Session) => void): PocV1Session {
  const pending = new Pending()
  let closing: Promise<void> | undefined
  const session: PocV1Session = {
    parameterCount: raw.parameterCount,
    memoryBytes: raw.memoryBytes,
    initSeconds: raw.initSeconds,
    compute: raw.compute,
    implementation: raw.implementation,
    defaultBatch: raw.defaultBatch,
    run: (request, onBatch, signal) => pending.run(() => raw.run(request, onBatch), signal),
    close() {
      closing ??= pending.cancelAll().then(async () => {
        forget(session)
        await follow(() => raw.close(), undefined)
      })
      return closing
    },
  }
  return session
}

function adaptPocV2Session(raw: RawPocV2Session, forget: (session: PocV2Session) => void): PocV2Session {
  const pending = new Pending()
  let closing: Promise<void> | undefined
  const session: PocV2Session = {
    architecture: raw.architecture,
    hiddenSize: raw.hiddenSize,
    layers: raw.layers,
    dtype: raw.dtype,
    compute: raw.compute,
    weightBytes: raw.weightBytes,
    initSeconds: raw.initSeconds,
    implementation: raw.implementation,
    defaultBatch: (seqLen) => guarded(() => raw.defaultBatch(seqLen)),
    run: (request, onBatch, signal, onTrace) => pending.run(() => raw.run(request, onBatch, onTrace), signal),
    close() {
      closing ??= pending.cancelAll().then(async () => {
        forget(session)
        await follow(() => raw.close(), undefined)
      })
      return closing
    },
  }
  return session
}

/** The addon's object behind a session, for calls that take two. */
const rawBenchSessions = new WeakMap<BenchSession, RawBenchSession>()

function adaptBenchSession(raw: RawBenchSession, forget: (session: BenchSession) => void): BenchSession {
  const pending = new Pending()
  let closing: Promise<void> | undefined
  const { implementation, operations, unit, bytes, operandBytes } = raw
  const session: BenchSession = {
    implementation,
    operations,
    unit,
    bytes,
    operandBytes,
    warm: (seconds, signal) => pending.run(() => raw.warm({ seconds }), signal),
    run: (limits, signal) => pending.run(() => raw.run(limits), signal),
    runPairs: (other, limits, signal) =>
      pending.run(() => raw.runPairs(rawBenchSessions.get(other) as RawBenchSession, limits), signal),
    close() {
      closing ??= pending.cancelAll().then(async () => {
        forget(session)
        await follow(() => raw.close(), undefined)
      })
      return closing
    },
  }
  rawBenchSessions.set(session, raw)
  return session
}

function adaptDevice(raw: RawDevice): NativeDevice {
  const pending = new Pending()
  const sessions = new Set<PocV1Session | PocV2Session | BenchSession>()
  let closing: Promise<void> | undefined
  const benchOpen: NativeDevice['benchOpen'] = async (request, signal) => {
    const opened = await pending.run(() => raw.benchOpen(request), signal)
    const session = adaptBenchSession(opened, (closed) => sessions.delete(closed))
    sessions.add(session)
    return session
  }
  return {
    id: raw.id,
    report: () => pending.run(() => raw.report(), undefined),
    get backend() {
      return guarded(() => raw.backend())
    },
    selftest: (op, onResult, signal) => pending.run(() => raw.selftest(op, onResult), signal),
    conformance: (request, onResult, signal) => pending.run(() => raw.conformance(request, onResult), signal),
    async bench({ samples, seconds, ...request }, signal) {
      const session = await benchOpen(request, signal)
      try {
        await session.warm(seconds / 2, signal)
        const samplesNs = await session.run({ samples, seconds, cold: false }, signal)
        const { implementation, operations, unit, bytes } = session
        return { samplesNs, implementation, operations, unit, bytes }
      } finally {
        await session.close()
      }
    },
    benchOpen,
    cpuPeak: (request, signal) => pending.run(() => raw.cpuPeak(request), signal),
    async pocV1Open(request, onProgress, signal) {
      const opened = await pending.run(() => raw.pocV1Open(request, onProgress), signal)
      const session = adaptSession(opened, (closed) => sessions.delete(closed))
      sessions.add(session)
      return session
    },
    async pocV2Open(request, onProgress, signal) {
      const opened = await pending.run(() => raw.pocV2Open(request, onProgress), signal)
      const session = adaptPocV2Session(opened, (closed) => sessions.delete(closed))
      sessions.add(session)
      return session
    },
    matmulPow: (request, onShares, signal) => pending.run(() => raw.matmulPow(request, onShares), signal),
    telemetry: () => pending.run(() => raw.telemetry(), undefined),
    fallbacks: () => guarded(() => raw.fallbacks()),
    close() {
      closing ??= pending.cancelAll().then(async () => {
        await Promise.all([...sessions].map((session) => session.close()))
        raw.close()
      })
      return closing
    },
  }
}

export function adaptAddon(raw: RawAddon): NativeApi {
  const failures: BackendReport[] = []
  return {
    version: () => raw.version(),
    statusCodes: raw.statusCodes,
    cpuFeatures: () => raw.cpuFeatures(),
    candidates: () => guarded(() => raw.candidates()),
    probe: (path) => guarded(() => raw.probe(path)),
    backends: () => [...guarded(() => raw.backends()), ...failures],
    loadBackend(path, alias) {
      try {
        return raw.loadBackend(path, alias)
      } catch (error) {
        const failed = {
          name: basename(path).replace(/\.[^.]*$/, ''),
          version: '',
          path,
          sha256: '',
          abi: '',
          devices: 0,
          error: messageOf(error),
        }
        if (!failures.some((known) => known.path === path)) failures.push(failed)
        return failed
      }
    },
    allowedCpus: () => guarded(() => raw.allowedCpus()),
    pinProcess: (cpus) => guarded(() => raw.pinProcess(cpus)),
    checkShares: (request, onChecked, signal) => follow(() => raw.checkShares(request, onChecked), signal),
    devices: () => follow(() => raw.devices(), undefined),
    modelDigest: (directory, onProgress, signal) => follow(() => raw.modelDigest(directory, onProgress), signal),
    makeTinyModel: (request) => follow(() => raw.makeTinyModel(request), undefined),
    async openDevice(request) {
      const { onNotice, ...rest } = request
      return adaptDevice(await follow(() => raw.openDevice(rest, onNotice), undefined))
    },
  }
}
