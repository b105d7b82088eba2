/** Pieces of the codec: decoded messages are read field by field, written ones leave defaults out. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { GonkaError, messageOf } from '../errors.ts'
import { packageRoot } from '../package-info.ts'
import { limits } from './payload.ts'

let root: protobuf.Root | undefined

/** A message of proof.proto by its name. */
export function messageType(name: string): protobuf.Type {
  root ??= protobuf.parse(readFileSync(join(packageRoot(), 'lib', 'proof', 'proof.proto'), 'utf8')).root
  return root.lookupType(`gonka.proof.${name}`)
}

/** A decoded message: own properties are the fields that were in the bytes (repeated ones always). */
export type Message = Readonly<Record<string, unknown>>

export function decodeMessage(name: string, bytes: Uint8Array, what = 'a proof file'): Message {
  try {
    return messageType(name).decode(bytes) as unknown as Message
  } catch (error) {
    throw unreadable(`not ${what}: ${messageOf(error)}`, error)
  }
}

export function own(message: Message, field: string): unknown {
  return Object.hasOwn(message, field) ? message[field] : undefined
}

export function section(message: Message, field: string, name: string = field): Message {
  const value = own(message, field)
  if (value === undefined) throw unreadable(`the payload has no ${name}`)
  return value as Message
}

/** A copy of a bytes field of a fixed length. */
export function exactBytes(message: Message, field: string, length: number): Uint8Array {
  const value = own(message, field)
  if (!(value instanceof Uint8Array) || value.length !== length) throw unreadable(`${field} is not ${length} bytes`)
  return Uint8Array.from(value)
}

export function list(message: Message, field: string): readonly unknown[] {
  return (own(message, field) ?? []) as readonly unknown[]
}

export function number(message: Message, field: string): number {
  return (own(message, field) ?? 0) as number
}

export function text(message: Message, field: string, limit: number = limits.textBytes): string {
  const value = (own(message, field) ?? '') as string
  if (Buffer.byteLength(value) > limit) throw unreadable(`${field} is longer than ${limit} bytes`)
  return value
}

/** An unsigned 64-bit field as protobufjs decodes it. */
export function integer(value: unknown): bigint {
  if (value === undefined || typeof value === 'number') return BigInt(value ?? 0)
  const { low, high } = value as { low: number; high: number }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

/** The inverse of integer(). */
export function long(value: bigint): object {
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)), unsigned: true }
}

export function withoutDefaults(fields: object): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'bigint') {
      if (value !== 0n) kept[name] = long(value)
    } else if (ArrayBuffer.isView(value) || Array.isArray(value)) {
      if ((value as { length: number }).length > 0) kept[name] = value
    } else if (value !== 0 && value !== '' && value !== false && value !== undefined) {
      kept[name] = value
    }
  }
  return kept
}

export function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

export function requireCanonical(bytes: Uint8Array, again: Uint8Array, what: string): void {
  if (Buffer.compare(bytes, again) !== 0) throw unreadable(`${what} is not in canonical form`)
}

export function unreadable(message: string, cause?: unknown): GonkaError {
  return new GonkaError('ERR_GK_PROOF_UNREADABLE', message, { cause })
}
