// PoC v1 on a device of the native addon.

import { openChosenDevice } from '../backends.ts'
import type { NativeApi, NativeDevice } from '../native-api.ts'
import type { Log } from './log.ts'
import type { PocV1Engine } from './poc-v1.ts'

/** The device opens with the first model and stays open. */
export function nativeV1Engine(native: () => Promise<NativeApi>, device: string, log: Log): PocV1Engine {
  let opened: Promise<NativeDevice> | undefined
  return {
    name: `native ${device}`,
    async open(params, blockHash, signal) {
      opened ??= native().then((api) =>
        openChosenDevice(api, { device, onNotice: (sentence) => log.warn({ device }, sentence) }),
      )
      let handle: NativeDevice
      try {
        handle = await opened
      } catch (error) {
        opened = undefined
        throw error
      }
      return handle.pocV1Open({ params, blockHash }, undefined, signal)
    },
    async close() {
      await opened?.then((handle) => handle.close()).catch(() => undefined)
    },
  }
}
