// The ML nodes of a simulated host: processes of this program, or any server that speaks the API, by URL.

import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { GonkaError } from '../errors.ts'
import { packageRoot } from '../package-info.ts'

export interface MlNode {
  readonly url: string
  /** Ends the process at once and starts it again on the same port and folder; nothing for foreign nodes. */
  crash(): Promise<void>
  /** Resolves when the node has answered once, or cannot within the limit. */
  pulse(limitMs: number): Promise<void>
  /** Artifacts it has generated and nobody acknowledged or dropped; undefined where it does not say within 5 s. */
  waiting(): Promise<number | undefined>
  /** Last lines of its log. */
  log(): readonly string[]
  readonly restarts: number
  close(): Promise<void>
}

async function pulse(url: string, limitMs: number): Promise<void> {
  const signal = AbortSignal.timeout(limitMs)
  await fetch(`${url}/readyz`, { signal }).then(
    (answer) => answer.arrayBuffer(),
    () => undefined,
  )
}

async function waiting(url: string): Promise<number | undefined> {
  try {
    const answer = await fetch(`${url}/dashboard/data.json`, { signal: AbortSignal.timeout(5000) })
    const data = (await answer.json()) as { stages: { readonly waiting: number }[] }
    return data.stages.reduce((sum, stage) => sum + stage.waiting, 0)
  } catch {
    return undefined
  }
}

export function foreignNode(url: string): MlNode {
  const base = url.replace(/\/+$/, '')
  return {
    url: base,
    pulse: (limitMs) => pulse(base, limitMs),
    waiting: () => waiting(base),
    crash: async () => undefined,
    log: () => [],
    restarts: 0,
    close: async () => undefined,
  }
}

// A busy machine may take long to start a process; one that never starts must not be waited for without end.
const startMs = 300_000

/** Starts a node of this program with the given flags; its data lies in `folder`. */
export async function startMlNode(flags: readonly string[], folder: string): Promise<MlNode> {
  const lines: string[] = []
  let restarts = 0
  let child: ChildProcess | undefined
  let closed = false

  const start = (port: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const bin = join(packageRoot(), 'bin', 'gonka-miner.js')
      const fixed = ['--listen-port', port, '--listen-inference', 'off', '--data-dir', folder, '--json']
      const started = spawn(process.execPath, [bin, 'serve', ...fixed, ...flags], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, HOME: process.env.HOME },
      })
      child = started
      const timer = setTimeout(() => reject(new Error(`a node did not start within ${startMs} ms`)), startMs)
      let text = ''
      started.stdout.setEncoding('utf8').on('data', (part: string) => {
        text += part
        const end = text.indexOf('\n')
        if (end < 0) return
        clearTimeout(timer)
        resolve((JSON.parse(text.slice(0, end)) as { url: string }).url)
      })
      started.stderr.setEncoding('utf8').on('data', (part: string) => {
        lines.push(...part.split('\n').filter((line) => line !== ''))
        if (lines.length > 200) lines.splice(0, lines.length - 200)
      })
      started.on('exit', (code) => {
        clearTimeout(timer)
        reject(new GonkaError('ERR_GK_BACKEND', `a node ended with code ${code}: ${lines.slice(-3).join(' | ')}`))
      })
    })

  const ended = (): Promise<void> =>
    child === undefined || child.exitCode !== null || child.signalCode !== null
      ? Promise.resolve()
      : new Promise((resolve) => child?.once('exit', () => resolve()))

  const url = await start('0')
  return {
    url,
    async crash() {
      if (closed) return
      restarts++
      child?.kill('SIGKILL')
      await ended()
      if (!closed) await start(new URL(url).port)
    },
    pulse: (limitMs) => pulse(url, limitMs),
    waiting: () => waiting(url),
    log: () => lines,
    get restarts() {
      return restarts
    },
    async close() {
      closed = true
      child?.kill('SIGTERM')
      await ended()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
