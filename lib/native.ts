/** The only file that loads the addon. */
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

function load(): NativeApi {
  const root = packageRoot()
  const require = createRequire(import.meta.url)
  const tried: string[] = []
  // A build of this checkout goes before a prebuild: whoever has compiled wants to run what they compiled.
  for (const path of [
    () => join(root, 'build', 'Release', 'gonka_miner.node'),
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
