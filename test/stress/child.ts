// A node of this program in a process of its own, and what its peer saw of it.

import { type ChildProcess, spawn } from 'node:child_process'
import process from 'node:process'
import { callUrl, type Peer } from '../node/peer.ts'

export interface NodeProcess {
  readonly url: string
  /** SIGKILL: nothing of the process gets a chance to save anything. */
  kill(): Promise<void>
}

/** An embedding node; `flags` as `serve` takes them, without the dashes in front. */
export function startNodeProcess(
  folder: string,
  flags: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): Promise<NodeProcess> {
  const all = {
    'engine-kind': 'embedding',
    'engine-models': 'test/model',
    'engine-autostart': 'test/model',
    'callbacks-interval-ms': '100',
    'callbacks-backoff-ms': '20',
    'callbacks-max-backoff-ms': '200',
    'listen-inference': 'off',
    'listen-port': '0',
    'data-dir': folder,
    ...flags,
  }
  const options = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value])
  const child: ChildProcess = spawn(process.execPath, ['bin/gonka-miner.js', 'serve', '--json', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, GONKA_MINER_LOG_LEVEL: 'error', ...env },
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (line: Buffer) => {
      const { url } = JSON.parse(line.toString()) as { url: string }
      resolve({
        url,
        kill() {
          child.kill('SIGKILL')
          return ended
        },
      })
    })
    child.once('exit', (code) => reject(new Error(`the node ended with ${code}`)))
  })
}

export interface NodeStage {
  readonly generated: number
  readonly acknowledged: number
  readonly waiting: number
  readonly dropped: number
  readonly redelivered: number
  readonly closed: string | null
}

/** Everything the dashboard shows. */
export const overviewOf = async (url: string) => (await callUrl(`${url}/dashboard/data.json`, 'GET')).json

/** Stops generation, waits until nothing waits, and returns the newest stage's counts. */
export async function stopAndDrain(url: string): Promise<NodeStage> {
  await callUrl(`${url}/api/v1/inference/pow/stop`, 'POST')
  for (;;) {
    // The overview is a snapshot of half a second.
    await new Promise((resolve) => setTimeout(resolve, 600))
    const data = await overviewOf(url)
    if (data.artifacts_waiting === 0 || data.stages[0].closed !== null) return data.stages[0]
  }
}

export interface PeerBooks {
  readonly offered: number
  /** Nonces missing in the middle of a group's sequence: generated, recorded and lost. */
  readonly holes: number
  /** Nonces that came in batches of different request ids. */
  readonly twiceAsNew: number
}

/** Node 1 of 2 (initBody), in `groups` groups: group g computes 1 + 2g + 2 * groups * x. */
export function booksOf(peer: Peer, groups: number): PeerBooks {
  const offered = new Map<number, Set<string>>()
  for (const { body } of peer.callbacks) {
    for (const { nonce } of body.artifacts as { nonce: number }[]) {
      const ids = offered.get(nonce) ?? new Set()
      ids.add(body.request_id as string)
      offered.set(nonce, ids)
    }
  }
  let holes = 0
  for (let group = 0; group < groups; group++) {
    const own = [...offered.keys()].filter((n) => ((n - 1) / 2) % groups === group).sort((a, b) => a - b)
    own.forEach((nonce, x) => {
      if (nonce !== 1 + 2 * group + 2 * groups * x) holes++
    })
  }
  const twiceAsNew = [...offered.values()].filter((ids) => ids.size > 1).length
  return { offered: offered.size, holes, twiceAsNew }
}

/** Nothing lost, nothing counted twice, nothing generated and not offered. */
export function isWhole(stage: NodeStage, books: PeerBooks): boolean {
  return (
    books.holes === 0 &&
    books.twiceAsNew === 0 &&
    stage.dropped === 0 &&
    stage.waiting === 0 &&
    stage.generated === stage.acknowledged &&
    stage.generated === books.offered
  )
}
