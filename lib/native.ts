/** The only file that loads the addon. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { GonkaError, messageOf } from './errors.ts'
import { adaptAddon, type RawAddon } from './native-adapter.ts'
import type { NativeApi } from './native-api.ts'
import { packageRoot } from './package-info.ts'

let loaded: NativeApi | undefined

/** The addon; loaded once per thread. Throws ERR_GK_ADDON, saying what was tried and what to do. */
export function loadNative(): NativeApi {
  loaded ??= load()
  return loaded
}

/**
 * The CPU backend as a library, from the build that made the addon; null where the addon comes without, as a prebuilt one.
 */
export function ownCpuLibrary(): string | null {
  const path = join(packageRoot(), 'build', 'Release', 'libraries', 'gonka_cpu.so')
  return existsSync(buildOfCheckout(packageRoot())) && existsSync(path) ? path : null
}

/** A build of this checkout goes before a prebuild: whoever has compiled wants to run what they compiled. */
function buildOfCheckout(root: string): string {
  return join(root, 'build', 'Release', 'gonka_miner.node')
}

function load(): NativeApi {
  const root = packageRoot()
  const require = createRequire(import.meta.url)
  const tried: string[] = []
  for (const path of [
    () => buildOfCheckout(root),
    () => (require('node-gyp-build') as { path(folder: string): string }).path(root),
  ]) {
    try {
      return adaptAddon(require(path()) as RawAddon)
    } catch (error) {
      tried.push(`  ${messageOf(error).split('\n')[0]}`)
    }
  }
  throw new GonkaError(
    'ERR_GK_ADDON',
    `the native addon cannot be loaded on ${process.platform}-${process.arch}, Node ${process.version}:\n${tried.join('\n')}\n` +
      'Install a C++20 compiler and cmake, then run: npm rebuild gonka-miner',
  )
}
