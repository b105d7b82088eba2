// A device of the native addon that a node keeps: opened when first needed, and opened anew after it fell out. What hangs on
// it (models) is loaded anew, too.

import { openChosenDevice } from '../backends.ts'
import { isGonkaError, messageOf } from '../errors.ts'
import type { NativeApi, NativeDevice, Telemetry } from '../native-api.ts'
import type { Log } from './log.ts'

/** Something loaded on the device. */
export interface Loaded<T> {
  /** Runs work with it, loading it where that is needed. Rejects with what loading or the work threw. */
  use<R>(work: (value: T) => Promise<R>, signal?: AbortSignal): Promise<R>
  /** Frees it; a use after that rejects. Closing twice is harmless. */
  close(): Promise<void>
}

export interface KeptDevice {
  load<T extends { close(): Promise<void> }>(
    open: (handle: NativeDevice, signal?: AbortSignal) => Promise<T>,
  ): Loaded<T>
  /** What the device's sensors say; undefined while it is not open or where it has none. */
  telemetry(): Promise<Telemetry | undefined>
  close(): Promise<void>
}

/** `device` as `serve` is told: "cuda:0". */
export function keptDevice(native: () => Promise<NativeApi>, device: string, log: Log): KeptDevice {
  let opening: Promise<NativeDevice> | undefined
  /** The handles given up are closed first: a library may have one device open once only. */
  let closing: Promise<void> = Promise.resolve()

  const opened = (): Promise<NativeDevice> => {
    if (opening === undefined) {
      const attempt = closing
        .then(native)
        .then((api) => openChosenDevice(api, { device, onNotice: (sentence) => log.warn({ device }, sentence) }))
      attempt.catch(() => {
        if (opening === attempt) opening = undefined // whoever comes next tries again
      })
      opening = attempt
    }
    return opening
  }

  const giveUp = (attempt: Promise<NativeDevice>, error: unknown) => {
    if (!isGonkaError(error, 'ERR_GK_DEVICE_LOST') || opening !== attempt) return
    log.error({ device, error: messageOf(error) }, 'the device fell out and is opened anew')
    opening = undefined
    closing = attempt.then((handle) => handle.close()).catch(() => undefined)
  }

  return {
    load<T extends { close(): Promise<void> }>(open: (handle: NativeDevice, signal?: AbortSignal) => Promise<T>) {
      type Current = { readonly on: Promise<NativeDevice>; readonly value: Promise<T> }
      let current: Current | undefined
      let closed = false

      const loaded = (signal: AbortSignal | undefined): Current => {
        if (closed) throw new Error(`the model on ${device} was freed`)
        const on = opened()
        if (current?.on === on) return current
        const mine = { on, value: on.then((handle) => open(handle, signal)) }
        mine.value.catch(() => {
          if (current === mine) current = undefined // the next use tries again
        })
        current = mine
        return mine
      }

      return {
        async use<R>(work: (value: T) => Promise<R>, signal?: AbortSignal) {
          const { on, value } = loaded(signal)
          try {
            return await work(await value)
          } catch (error) {
            giveUp(on, error)
            throw error
          }
        },
        async close() {
          closed = true
          await current?.value.then((value) => value.close()).catch(() => undefined)
        },
      }
    },
    async telemetry() {
      const handle = await opening?.catch(() => undefined)
      return handle?.telemetry().catch(() => undefined)
    },
    async close() {
      await opening?.then((handle) => handle.close()).catch(() => undefined)
      await closing
    },
  }
}
