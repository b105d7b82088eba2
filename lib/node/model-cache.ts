// The Hugging Face cache on this machine: which models lie there whole, how much room is left. Layout:
// <cache>/models--org--name/{blobs,refs,snapshots/<commit>/files}; a blob being written ends in .incomplete.

import type { Dirent } from 'node:fs'
import { readdir, readFile, readlink, rm, stat, statfs } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'

export interface ModelName {
  readonly hf_repo: string
  readonly hf_commit: string | null
}

export type ModelStatus = 'DOWNLOADED' | 'DOWNLOADING' | 'NOT_FOUND' | 'PARTIAL'

/** Where the cache is, by the variables the ecosystem uses. */
export function modelCachePath(env: Readonly<Record<string, string | undefined>>): string {
  return env.HF_HUB_CACHE ?? join(env.HF_HOME ?? join(homedir(), '.cache', 'huggingface'), 'hub')
}

/** org/name, no path tricks: the name becomes a folder that DELETE removes. */
export const repoPattern = /^(?!.*\.\.)[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/
export const commitPattern = /^[A-Za-z0-9][\w.-]{0,63}$/

export const folderOf = (repo: string) => `models--${repo.replaceAll('/', '--')}`

async function names(path: string): Promise<Dirent[]> {
  return readdir(path, { withFileTypes: true }).catch(() => [])
}

export async function modelStatus(cache: string, model: ModelName): Promise<ModelStatus> {
  const folder = join(cache, folderOf(model.hf_repo))
  const exists = await stat(folder).catch(() => undefined)
  if (exists === undefined) return 'NOT_FOUND'
  let commit = model.hf_commit
  if (commit === null) commit = (await readFile(join(folder, 'refs', 'main'), 'utf8').catch(() => '')).trim() || null
  const snapshots = (await names(join(folder, 'snapshots'))).map((entry) => entry.name)
  const wanted = commit ?? snapshots[0]
  if (wanted === undefined || !snapshots.includes(wanted)) return snapshots.length > 0 ? 'PARTIAL' : 'NOT_FOUND'
  const unfinished = (await names(join(folder, 'blobs'))).some((entry) => entry.name.endsWith('.incomplete'))
  if (unfinished) return 'PARTIAL'
  const files = (await names(join(folder, 'snapshots', wanted))).map((entry) => entry.name)
  const weights = files.filter((name) => name.endsWith('.safetensors'))
  if (!files.includes('config.json') || weights.length === 0) return 'PARTIAL'
  // A sharded model names its total: model-00001-of-00042.safetensors.
  const total = /-of-(\d{5})\.safetensors$/.exec(weights[0] as string)?.[1]
  if (total !== undefined && weights.length < Number(total)) return 'PARTIAL'
  // Links whose blob is gone count as missing.
  const reachable = await Promise.all(
    weights.map((name) =>
      stat(join(folder, 'snapshots', wanted, name)).then(
        () => true,
        () => false,
      ),
    ),
  )
  return reachable.every(Boolean) ? 'DOWNLOADED' : 'PARTIAL'
}

export async function listModels(cache: string): Promise<{ model: ModelName; status: ModelStatus }[]> {
  const out: { model: ModelName; status: ModelStatus }[] = []
  for (const entry of await names(cache)) {
    if (!entry.isDirectory() || !entry.name.startsWith('models--')) continue
    const repo = entry.name.slice('models--'.length).replace('--', '/')
    const snapshots = await names(join(cache, entry.name, 'snapshots'))
    for (const { name: commit } of snapshots) {
      const model = { hf_repo: repo, hf_commit: commit }
      out.push({ model, status: await modelStatus(cache, model) })
    }
    if (snapshots.length === 0) out.push({ model: { hf_repo: repo, hf_commit: null }, status: 'PARTIAL' })
  }
  return out
}

/** Removes a model from the cache: one revision with the blobs that no other has, or all of it where no commit is named.
 *  False if it was not there. */
export async function deleteModel(cache: string, model: ModelName): Promise<boolean> {
  if (!repoPattern.test(model.hf_repo)) return false
  const folder = join(cache, folderOf(model.hf_repo))
  const snapshots = (await names(join(folder, 'snapshots'))).map((entry) => entry.name)
  const { hf_commit: commit } = model
  if (commit === null || (snapshots.length === 1 && snapshots[0] === commit)) {
    if ((await stat(folder).catch(() => undefined)) === undefined) return false
    await rm(folder, { recursive: true, force: true })
    return true
  }
  if (!snapshots.includes(commit)) return false
  await rm(join(folder, 'snapshots', commit), { recursive: true, force: true })
  const used = await linkedBlobs(join(folder, 'snapshots'))
  for (const { name } of await names(join(folder, 'blobs'))) {
    if (!used.has(name)) await rm(join(folder, 'blobs', name), { force: true })
  }
  return true
}

/** Names of the blobs that links below a folder lead to. */
async function linkedBlobs(folder: string, found = new Set<string>()): Promise<Set<string>> {
  for (const entry of await names(folder)) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await linkedBlobs(path, found)
    else if (entry.isSymbolicLink()) found.add(basename(await readlink(path)))
  }
  return found
}

async function sizeOf(path: string): Promise<number> {
  let total = 0
  for (const entry of await names(path)) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) total += await sizeOf(child)
    else if (entry.isFile()) total += (await stat(child).catch(() => ({ size: 0 }))).size
  }
  return total
}

export async function cacheSpace(cache: string): Promise<Record<string, unknown>> {
  const gb = (bytes: number) => Math.round(bytes / 1e8) / 10
  let probe = cache
  let free: number | undefined
  // The cache may not exist yet: the nearest existing folder lies on the disk it would use.
  while (free === undefined) {
    const fs = await statfs(probe).catch(() => undefined)
    if (fs !== undefined) free = fs.bavail * fs.bsize
    else if (probe === '/' || probe === '.') free = 0
    else probe = join(probe, '..')
  }
  return { cache_size_gb: gb(await sizeOf(cache)), available_gb: gb(free), cache_path: cache }
}
