/**
 * Builds of a backend library as the blocks of an interleaved comparison meet them.
 *
 * Where the loader and the kernel happen to put a library - its code in the caches' sets, its working memory in pages - lasts
 * as long as the process and is worth up to some percent on short calls, even between two copies of one file. So each block
 * gets a copy of the file, loaded anew: the place is drawn again with the operands, and what it does becomes noise between
 * blocks that the test knows about, instead of a difference between the builds.
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type DeviceChoice, openAlias } from '../backends.ts'
import { isGonkaError } from '../errors.ts'
import type { NativeApi, NativeDevice } from '../native-api.ts'

export interface Build {
  /** "<file>, <version>, <first digits of its SHA-256>" */
  readonly description: string
  /** Whether every block meets the build in another place of memory. */
  readonly moves: boolean
  /** The device that a block runs on; open until close(). */
  at(block: number): Promise<NativeDevice>
  close(): Promise<void>
}

function describe({ path, version, sha256 }: NativeDevice['backend']): string {
  return `${path ?? 'the addon'}, ${version}, ${sha256.slice(0, 8)}`
}

/** One device for every block. close() closes it. */
export function fixedBuild(device: NativeDevice): Build {
  return {
    description: describe(device.backend),
    moves: false,
    at: async () => device,
    close: () => device.close(),
  }
}

/** Threads that the devices of all copies may have together while they wait for their blocks. */
const mostIdleThreads = 256

type CopyOptions = Pick<DeviceChoice, 'threads' | 'onNotice' | 'signal'>

/**
 * A library's first device, from another copy of the file for each of so many blocks. The file is exercised in a child
 * process first. Accelerators' libraries are loaded once: their runtimes do not bear more. Throws ERR_GK_BACKEND if the
 * library cannot serve.
 */
export async function copiedBuild(
  native: NativeApi,
  path: string,
  alias: string,
  blocks: number,
  options: CopyOptions = {},
): Promise<Build> {
  const device = await openAlias(native, path, alias, options)
  const { threads } = await device.report()
  if (threads === 0 || threads * blocks > mostIdleThreads) return fixedBuild(device)
  const folder = mkdtempSync(join(tmpdir(), 'gonka-build-'))
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true })
  const copies = new Map<number, NativeDevice>()
  const load = (block: number): Promise<NativeDevice> => {
    const copy = join(folder, `${basename(path, '.so')}-${block}.so`)
    copyFileSync(path, copy)
    return native.openDevice({
      device: `${native.loadBackend(copy, `${device.backend.name}-${block}`).name}:0`,
      threads,
      ...(options.onNotice ? { onNotice: options.onNotice } : {}),
    })
  }
  try {
    copies.set(0, await load(0))
  } catch (error) {
    removeFolder()
    // A temporary folder from which nothing may be executed.
    if (isGonkaError(error)) return fixedBuild(device)
    await device.close()
    throw error
  }
  return {
    description: describe(device.backend),
    moves: true,
    async at(block) {
      const index = block % blocks
      const known = copies.get(index)
      if (known) return known
      const opened = await load(index)
      copies.set(index, opened)
      return opened
    },
    async close() {
      for (const one of [device, ...copies.values()]) await one.close()
      removeFolder()
    },
  }
}
