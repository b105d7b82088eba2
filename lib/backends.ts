/**
 * Backend libraries from outside. A candidate is exercised in a child process before this process loads it: one that
 * crashes, hangs or is wrong there is reported and never loaded here.
 */
import { fork } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildMessage, ChildRequest } from './backend-child.ts'
import { GonkaError, throwIfAborted } from './errors.ts'
import type { BackendReport, NativeApi, NativeDevice, ProbeReport } from './native-api.ts'

/** A child that says nothing for this long hangs. */
const silenceMs = 120_000
/** How much of what a library prints is kept for the report. */
const outputLimit = 2000

export interface ChildOptions {
  readonly signal?: AbortSignal
  /** Milliseconds without a message after which the child is ended. */
  readonly silenceMs?: number
}

/**
 * Runs one request in a child process. Rejects with ERR_GK_BACKEND if the child crashes, hangs or reports a failure, and
 * with ERR_GK_CANCELLED.
 */
export function runInChild(
  request: ChildRequest,
  onMessage: (message: ChildMessage) => void,
  options: ChildOptions = {},
): Promise<void> {
  const { signal } = options
  throwIfAborted(signal)
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const child = fork(fileURLToPath(new URL(`./backend-child.${extension}`, import.meta.url)), {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // The candidate alone is under test, not the others that the environment names.
    env: { ...process.env, GONKA_BACKEND_PATH: '' },
    execArgv: [],
  })
  return new Promise((resolvePromise, reject) => {
    let step = 'starting'
    let output = ''
    let outcome: 'done' | GonkaError | undefined
    const fail = (message: string): void => {
      outcome ??= new GonkaError('ERR_GK_BACKEND', `${request.path}: ${message}${quoted(output)}`)
    }
    const limit = options.silenceMs ?? silenceMs
    const onSilence = (): void => {
      fail(`no answer for ${limit / 1000} s while ${step}`)
      child.kill('SIGKILL')
    }
    let timer = setTimeout(onSilence, limit)
    const onAbort = (): void => {
      outcome ??= new GonkaError('ERR_GK_CANCELLED', 'cancelled', { cause: signal?.reason })
      child.kill('SIGKILL')
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-outputLimit)
      })
    }
    child.on('message', (raw) => {
      const message = raw as ChildMessage
      clearTimeout(timer)
      timer = setTimeout(onSilence, limit)
      if (message.kind === 'step') step = message.step
      else if (message.kind === 'failed') fail(message.message)
      else if (message.kind === 'done') outcome ??= 'done'
      onMessage(message)
    })
    child.on('error', (error) => fail(error.message))
    child.on('close', (code, killedBy) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      if (outcome === 'done') return resolvePromise()
      fail(killedBy ? `crashed with ${killedBy} while ${step}` : `ended the process with code ${code} while ${step}`)
      reject(outcome)
    })
    child.send(request)
  })
}

function quoted(output: string): string {
  const text = output.trim()
  return text === '' ? '' : `; it printed: ${text}`
}

/** Throws ERR_GK_FILE for a library that somebody named and that cannot be read. */
export async function checkLibraryFile(path: string): Promise<void> {
  const problem = await stat(path).then(
    (file) => (file.isFile() ? undefined : 'not a file'),
    (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? 'no such file' : error.message),
  )
  if (problem !== undefined)
    throw new GonkaError('ERR_GK_FILE', `cannot load ${path}: ${problem}; expected a backend library (.so)`)
}

/** What a candidate did in its child process. Rejects as runInChild does. */
export async function probeBackend(path: string, options: ChildOptions = {}): Promise<ProbeReport> {
  let report: ProbeReport | undefined
  await runInChild(
    { kind: 'probe', path },
    (message) => {
      if (message.kind === 'probed') report = message.report
    },
    options,
  )
  if (!report) throw new GonkaError('ERR_GK_BACKEND', `${path}: no report`)
  return report
}

/** Exercises candidates and loads those that survive. Every candidate gets a report, loaded or not. */
export async function loadCandidates(
  native: NativeApi,
  paths: readonly string[],
  options: ChildOptions = {},
): Promise<readonly BackendReport[]> {
  const reports: BackendReport[] = []
  for (const path of new Set(paths.map((path) => resolve(path)))) {
    const loaded = native.backends().find((backend) => backend.path === path)
    if (loaded) {
      reports.push(loaded)
      continue
    }
    const refusal = await probeBackend(path, options).then(
      (report) => report.error || undefined,
      (error: unknown) => {
        if (error instanceof GonkaError && error.code === 'ERR_GK_BACKEND') return error.message
        throw error
      },
    )
    reports.push(refusal === undefined ? native.loadBackend(path) : refusedReport(path, refusal))
  }
  return reports
}

function refusedReport(path: string, error: string): BackendReport {
  const name = basename(path).replace(/\.[^.]*$/, '')
  return { name, version: '', path, sha256: '', abi: '', devices: 0, error }
}

export interface DeviceChoice {
  /** Id as in DeviceReport; "cpu:0" if absent. */
  readonly device?: string
  /** Worker threads of a CPU device. */
  readonly threads?: number
  /** Libraries to load besides those that GONKA_BACKEND_PATH and the addon's folder offer. */
  readonly backends?: readonly string[]
  readonly onNotice?: (sentence: string) => void
  readonly signal?: AbortSignal
}

/** Loads what the choice needs - nothing for the CPU backend alone - and opens the device. */
export async function openChosenDevice(native: NativeApi, choice: DeviceChoice): Promise<NativeDevice> {
  const { device = 'cpu:0', threads, backends = [], onNotice, signal } = choice
  for (const path of backends) await checkLibraryFile(path)
  const wanted = /^cpu(:|$)/.test(device) ? backends : [...backends, ...native.candidates()]
  const reports = await loadCandidates(native, wanted, signal ? { signal } : {})
  for (const { path, error } of reports) {
    // A library that was asked for by name must work; one that lay about is only worth a notice.
    if (error === null) continue
    if (backends.some((given) => resolve(given) === path)) throw new GonkaError('ERR_GK_BACKEND', error)
    onNotice?.(error)
  }
  const all = native.backends()
  const known = all.flatMap(({ name, devices }) => Array.from({ length: devices }, (_, i) => `${name}:${i}`))
  const name = device.replace(/:\d*$/, '')
  if (!known.includes(device) && !known.includes(`${device}:0`)) {
    const cause = causeOfAbsence(name, [...all, ...reports])
    const list = known.join(', ')
    throw new GonkaError(
      'ERR_GK_USAGE',
      `no device ${JSON.stringify(device)}${cause}; there are: ${list}. See: gonka-miner devices`,
    )
  }
  throwIfAborted(signal)
  return native.openDevice({
    device,
    ...(threads === undefined ? {} : { threads }),
    ...(onNotice === undefined ? {} : { onNotice }),
  })
}

/** Why a backend offers no device, to follow "no device X"; empty if it offers some. */
function causeOfAbsence(name: string, reports: readonly BackendReport[]): string {
  const own = reports.filter((report) => report.name === name || report.name === `gonka_${name}`)
  if (own.some(({ devices }) => devices > 0)) return ''
  const said = own.map(({ error }) => error).find((error) => error !== null)
  if (said !== undefined && said !== null) return `: ${said}`
  if (name === 'cuda') {
    return ': this installation was built without the CUDA backend; with the CUDA toolkit 13 on PATH run npm rebuild gonka-miner'
  }
  return own.length > 0 ? '' : `: no backend is called ${JSON.stringify(name)}; --backend names a library`
}

/**
 * Opens device 0 of a library under a name of its own, which begins with alias, so that another build of a loaded backend -
 * the CPU's, say - can be held beside it. The library is exercised in a child process first. Throws ERR_GK_BACKEND if it
 * cannot serve, ERR_GK_FILE if it is not there.
 */
export async function openAlias(
  native: NativeApi,
  path: string,
  alias: string,
  choice: Pick<DeviceChoice, 'threads' | 'onNotice' | 'signal'> = {},
): Promise<NativeDevice> {
  const { threads, onNotice, signal } = choice
  await checkLibraryFile(path)
  const { error } = await probeBackend(path, signal ? { signal } : {})
  if (error !== '') throw new GonkaError('ERR_GK_BACKEND', error)
  // A name that another file has got already is no longer free; the same file keeps the one it has.
  const taken = native.backends().filter(({ name }) => name.startsWith(alias)).length
  const report = native.loadBackend(path, taken === 0 ? alias : `${alias}-${taken + 1}`)
  if (report.error !== null) throw new GonkaError('ERR_GK_BACKEND', report.error)
  return native.openDevice({
    device: `${report.name}:0`,
    ...(threads === undefined ? {} : { threads }),
    ...(onNotice === undefined ? {} : { onNotice }),
  })
}
