// Models fetched from a Hugging Face hub into the cache, in the layout that model-cache.ts describes. A file is written beside
// its name (.incomplete), continued where an earlier try ended, compared with the hash that names it, and linked only then.

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat, statfs, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { GonkaError, messageOf } from '../errors.ts'
import { makeFolder } from '../files.ts'
import { addressRule } from './address-rule.ts'
import { type HttpClient, httpClient } from './http-client.ts'
import { HttpError } from './http-error.ts'
import type { Log } from './log.ts'
import { folderOf, type ModelName, modelStatus, repoPattern } from './model-cache.ts'

export interface DownloadProgress {
  /** Seconds since 1970. */
  readonly start_time: number
  readonly elapsed_seconds: number
}

export interface ModelDownloads {
  /** Starts in the background. HttpError 409: this model is being downloaded; 429: three are. */
  start(model: ModelName): Promise<{ readonly task_id: string; readonly status: string }>
  /** Undefined while the model is not being downloaded. */
  progress(model: ModelName): DownloadProgress | undefined
  /** Why the last download of this model failed; null if it did not. */
  failure(model: ModelName): string | null
  /** Ends a download and removes what it had; false if there is none. Without a commit: every one of that repository. */
  cancel(model: ModelName): Promise<boolean>
  close(): Promise<void>
}

export interface DownloadOptions {
  readonly cache: string
  /** HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, as the ecosystem uses them. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Log
}

const maxParallel = 3
const maxRedirects = 5
const silenceMs = 60_000
const maxListing = 16 * 2 ** 20
const defaultHub = 'https://huggingface.co'

interface HubFile {
  readonly name: string
  /** Bytes; undefined if the hub does not say. */
  readonly size: number | undefined
}

/** A name below the snapshot's folder and nothing else. */
function isSafeName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.length < 1024 &&
    !/[\\\0]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  )
}

export function createModelDownloads(options: DownloadOptions): ModelDownloads {
  const { cache, env, log } = options
  const hub = (env.HF_ENDPOINT || defaultHub).replace(/\/+$/, '')
  if (!URL.canParse(hub)) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `HF_ENDPOINT: expected a URL, got ${JSON.stringify(hub)}`)
  }
  const hubHost = new URL(hub).hostname.replace(/^\[|\]$/g, '')
  // The operator names the hub; where it redirects to is the hub's word, so link-local addresses stay out of reach.
  const http: HttpClient = httpClient(addressRule(['any', hubHost]))
  const offline = /^(1|true|yes)$/i.test((env.HF_HUB_OFFLINE ?? '').trim())
  const running = new Map<
    string,
    { model: ModelName; startedMs: number; abort: AbortController; done: Promise<void> }
  >()
  const failures = new Map<string, string>()
  const idOf = (model: ModelName) => `${model.hf_repo}:${model.hf_commit ?? 'latest'}`

  /** The answer and the headers of the hub's own one, which describes the file; redirects are followed. */
  const get = async (path: string, headers: Record<string, string>, signal: AbortSignal) => {
    let url = hub + path
    let described: Readonly<Record<string, string | string[] | undefined>> = {}
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const own = new URL(url).host === new URL(hub).host
      // The token is for the hub alone.
      const token: Record<string, string> = own && env.HF_TOKEN ? { authorization: `Bearer ${env.HF_TOKEN}` } : {}
      const { request, response } = http.open('GET', url, { ...headers, ...token }, silenceMs)
      const stop = () => request.destroy(new Error('cancelled'))
      signal.addEventListener('abort', stop, { once: true })
      request.once('close', () => signal.removeEventListener('abort', stop))
      request.end()
      const answer = await response
      described = { ...answer.headers, ...described }
      const { statusCode = 0 } = answer
      const { location } = answer.headers
      if (statusCode < 300 || statusCode >= 400 || location === undefined) return { answer, statusCode, described }
      answer.resume()
      url = new URL(location, url).href
    }
    throw new Error(`${path}: more than ${maxRedirects} redirects`)
  }

  const listing = async (model: ModelName, signal: AbortSignal): Promise<{ commit: string; files: HubFile[] }> => {
    const revision = encodeURIComponent(model.hf_commit ?? 'main')
    const { answer, statusCode } = await get(`/api/models/${model.hf_repo}/revision/${revision}?blobs=true`, {}, signal)
    let text = ''
    for await (const part of answer.setEncoding('utf8')) {
      text += part
      if (text.length > maxListing) throw new Error('the list of files is too long')
    }
    if (statusCode !== 200) throw new Error(`the hub answers ${statusCode} for ${idOf(model)}`)
    const { sha, siblings } = JSON.parse(text) as {
      sha?: unknown
      siblings?: { rfilename?: unknown; size?: unknown }[]
    }
    if (typeof sha !== 'string' || !/^[0-9a-f]{7,64}$/.test(sha) || !Array.isArray(siblings)) {
      throw new Error('the hub lists no commit and files')
    }
    const files = siblings.map(({ rfilename, size }): HubFile => {
      if (!isSafeName(rfilename)) throw new Error(`the hub lists a file with the name ${JSON.stringify(rfilename)}`)
      return { name: rfilename, size: typeof size === 'number' ? size : undefined }
    })
    return { commit: sha, files }
  }

  const checkRoom = async (files: readonly HubFile[]) => {
    const needed = files.reduce((sum, file) => sum + (file.size ?? 0), 0)
    const { bavail, bsize } = await statfs(cache)
    if (needed <= bavail * bsize) return
    const gb = (bytes: number) => (bytes / 1e9).toFixed(1)
    throw new Error(`${gb(needed)} GB are needed in ${cache}, ${gb(bavail * bsize)} GB are free`)
  }

  const fetchFile = async (folder: string, model: ModelName, commit: string, name: string, signal: AbortSignal) => {
    const path = `/${model.hf_repo}/resolve/${commit}/${name.split('/').map(encodeURIComponent).join('/')}`
    const link = join(folder, 'snapshots', commit, name)
    if ((await stat(link).catch(() => undefined)) !== undefined) return
    // Which blob it is says the first answer; how much of it is here decides what the second asks for.
    const head = await get(path, { range: 'bytes=0-0' }, signal)
    // A hub that does not know ranges sends all of it.
    if (head.statusCode === 206) head.answer.resume()
    else head.answer.destroy()
    if (head.statusCode >= 400 && head.statusCode !== 416)
      throw new Error(`the hub answers ${head.statusCode} for ${name}`)
    const tag = String(head.described['x-linked-etag'] ?? head.described.etag ?? '').replace(/^W\/|"/g, '')
    if (!/^[0-9a-f]{40}$|^[0-9a-f]{64}$/.test(tag)) throw new Error(`the hub names no hash for ${name}`)
    const blob = join(folder, 'blobs', tag)
    if ((await stat(blob).catch(() => undefined)) === undefined) await fetchBlob(path, blob, tag, name, signal)
    await mkdir(dirname(link), { recursive: true })
    await symlink(relative(dirname(link), blob), link)
  }

  const fetchBlob = async (path: string, blob: string, tag: string, name: string, signal: AbortSignal) => {
    const part = `${blob}.incomplete`
    const have = (await stat(part).catch(() => undefined))?.size ?? 0
    const { answer, statusCode } = await get(path, have > 0 ? { range: `bytes=${have}-` } : {}, signal)
    // 416: all of it is here already.
    if (statusCode === 200 || statusCode === 206) {
      await pipeline(answer, createWriteStream(part, { flags: statusCode === 206 ? 'a' : 'w', flush: true }), {
        signal,
      })
    } else {
      answer.destroy()
      if (statusCode !== 416) throw new Error(`the hub answers ${statusCode} for ${name}`)
    }
    if ((await hashOf(part, tag, signal)) !== tag) {
      await rm(part, { force: true })
      throw new Error(`${name} does not have the hash ${tag} that the hub names`)
    }
    await rename(part, blob)
  }

  const download = async (model: ModelName, signal: AbortSignal): Promise<void> => {
    const folder = join(cache, folderOf(model.hf_repo))
    const { commit, files } = await listing(model, signal)
    for (const each of ['blobs', 'refs', join('snapshots', commit)]) await makeFolder(join(folder, each))
    await checkRoom(files)
    for (const { name } of files) await fetchFile(folder, model, commit, name, signal)
    if (model.hf_commit === null) await writeFile(join(folder, 'refs', 'main'), commit)
  }

  return {
    async start(model) {
      const id = idOf(model)
      if (offline) return { task_id: `${id}:offline`, status: 'IGNORED' }
      if (!repoPattern.test(model.hf_repo)) throw new HttpError(400, `${model.hf_repo} is no repository`)
      if (running.has(id)) throw new HttpError(409, `Model ${id} is already downloading`)
      if ((await modelStatus(cache, model)) === 'DOWNLOADED') return { task_id: id, status: 'DOWNLOADED' }
      if (running.has(id)) throw new HttpError(409, `Model ${id} is already downloading`)
      if (running.size >= maxParallel) {
        throw new HttpError(429, `Maximum concurrent downloads (${maxParallel}) reached; wait for one or cancel it`)
      }
      const abort = new AbortController()
      failures.delete(id)
      log.info({ model: id }, 'download started')
      const done = download(model, abort.signal)
        .then(() => log.info({ model: id }, 'download done'))
        .catch((error: unknown) => {
          if (abort.signal.aborted) return
          failures.set(id, messageOf(error))
          log.error({ model: id, error: messageOf(error) }, 'download failed')
        })
        .finally(() => running.delete(id))
      running.set(id, { model, startedMs: Date.now(), abort, done })
      return { task_id: id, status: 'DOWNLOADING' }
    },
    progress(model) {
      const found = running.get(idOf(model))
      if (found === undefined) return undefined
      return { start_time: found.startedMs / 1000, elapsed_seconds: (Date.now() - found.startedMs) / 1000 }
    },
    failure: (model) => failures.get(idOf(model)) ?? null,
    async cancel(model) {
      const meant = [...running.values()].filter(
        (each) =>
          each.model.hf_repo === model.hf_repo &&
          (model.hf_commit === null || each.model.hf_commit === model.hf_commit),
      )
      for (const each of meant) each.abort.abort()
      await Promise.all(meant.map((each) => each.done))
      return meant.length > 0
    },
    async close() {
      for (const each of running.values()) each.abort.abort()
      await Promise.all([...running.values()].map((each) => each.done))
      http.close()
    },
  }
}

/** SHA-256 of a file, or, for a tag of 40 digits, SHA-1 of it as git hashes it. */
async function hashOf(path: string, tag: string, signal: AbortSignal): Promise<string> {
  const hash = createHash(tag.length === 64 ? 'sha256' : 'sha1')
  if (tag.length === 40) hash.update(`blob ${(await stat(path)).size}\0`)
  for await (const part of createReadStream(path, { signal })) hash.update(part as Buffer)
  return hash.digest('hex')
}
