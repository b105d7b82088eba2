// A headless browser driven over its debugging pipe (JSON messages ended by a zero byte, file descriptors 3 and 4).

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { Readable, Writable } from 'node:stream'

export interface Browser {
  /** Requests the page made, by URL. */
  readonly requests: string[]
  /** Uncaught exceptions and console errors of the page. */
  readonly errors: string[]
  open(url: string, width: number, height: number): Promise<void>
  /** The value of an expression in the page. */
  evaluate<T>(expression: string): Promise<T>
  /** What is in the window as PNG, or the whole page. */
  screenshot(whole?: boolean): Promise<Uint8Array>
  /** Shows the page as on paper, or as in a dark room. */
  emulate(media: 'screen' | 'print', scheme: 'light' | 'dark'): Promise<void>
  /** The page printed on A4. */
  pdf(): Promise<Uint8Array>
  close(): Promise<void>
}

/** The browser's program, undefined if this machine has none. */
export function findBrowser(): string | undefined {
  return ['chromium', 'chromium-browser', 'google-chrome'].find(
    (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
  )
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: Record<string, unknown>
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

/** A log entry that is an error; recommendations and the answer 401 of a locked node are none. */
function isErrorEntry({ method, params }: Message): boolean {
  if (method !== 'Log.entryAdded') return false
  const { entry } = params as { entry: { level: string; text: string } }
  return entry.level === 'error' && !entry.text.includes('401')
}

/** Keeps its files in `profile`. The browser ends when its pipe closes: a test that is killed leaves none behind. */
export async function startBrowser(program: string, profile: string): Promise<Browser> {
  // Its sockets lie here: the names of sockets must be short.
  const temporary = mkdtempSync(join(tmpdir(), 'browser-'))
  const child: ChildProcess = spawn(
    program,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--remote-debugging-pipe',
      `--user-data-dir=${profile}`,
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    // A process group of its own, so that its helpers go with it.
    {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, TMPDIR: temporary },
    },
  )
  const input = child.stdio[3] as Writable
  const output = child.stdio[4] as Readable
  const waiting = new Map<number, { resolve(value: Record<string, unknown>): void; reject(error: Error): void }>()
  const requests: string[] = []
  const errors: string[] = []
  let next = 1
  let text = ''
  let session: string | undefined

  const take = (message: Message) => {
    if (message.id !== undefined) {
      const pending = waiting.get(message.id)
      waiting.delete(message.id)
      if (message.error) pending?.reject(new Error(message.error.message))
      else pending?.resolve(message.result ?? {})
    } else if (message.method === 'Network.requestWillBeSent') {
      const { request } = message.params as { request: { url: string } }
      requests.push(request.url)
    } else if (message.method === 'Runtime.exceptionThrown' || isErrorEntry(message)) {
      errors.push(JSON.stringify(message.params).slice(0, 500))
    }
  }
  output.setEncoding('utf8').on('data', (part: string) => {
    text += part
    for (let end = text.indexOf('\0'); end >= 0; end = text.indexOf('\0')) {
      take(JSON.parse(text.slice(0, end)) as Message)
      text = text.slice(end + 1)
    }
  })
  child.once('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`the browser ended: ${code ?? signal}`))
  })
  input.on('error', () => undefined)
  const send = (method: string, params: Record<string, unknown> = {}) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const id = next++
      waiting.set(id, { resolve, reject })
      input.write(`${JSON.stringify({ id, method, params, ...(session ? { sessionId: session } : {}) })}\0`)
    })

  return {
    requests,
    errors,
    async open(url, width, height) {
      session = undefined
      const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
      session = (await send('Target.attachToTarget', { targetId, flatten: true })).sessionId as string
      for (const domain of ['Network', 'Runtime', 'Log', 'Page']) await send(`${domain}.enable`)
      await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 })
      await send('Page.navigate', { url })
    },
    async evaluate<T>(expression: string) {
      const { result } = await send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
      return (result as { value: T }).value
    },
    async screenshot(whole = false) {
      const { data } = await send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: whole })
      return Uint8Array.from(Buffer.from(data as string, 'base64'))
    },
    async emulate(media, scheme) {
      const features = [{ name: 'prefers-color-scheme', value: scheme }]
      await send('Emulation.setEmulatedMedia', { media, features })
    },
    async pdf() {
      const { data } = await send('Page.printToPDF', { paperWidth: 8.27, paperHeight: 11.69 })
      return Uint8Array.from(Buffer.from(data as string, 'base64'))
    },
    async close() {
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      await gone
      for (const folder of [profile, temporary])
        rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 })
    },
  }
}
