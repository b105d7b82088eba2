/** Reading files with a size limit, and writing them so that a reader never sees half of one. */
import { constants } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { constants as fileModes } from 'node:fs'
import { access, link, lstat, mkdir, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { GonkaError, messageOf } from './errors.ts'

/** One read call of Node takes less than 2^31 bytes. */
const readBytesAtOnce = 2 ** 30

/** The whole file. Throws ERR_GK_FILE if it cannot be read, is not a regular file or is longer than limit bytes. */
export async function readBytes(path: string, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await open(path, 'r')
    try {
      const status = await file.stat()
      if (!status.isFile()) throw new GonkaError('ERR_GK_FILE', `${path} is not a regular file`)
      const most = Math.min(limit, constants.MAX_LENGTH)
      if (status.size > most) {
        throw new GonkaError('ERR_GK_FILE', `${path} has ${status.size} bytes; at most ${most} are accepted`)
      }
      const bytes = new Uint8Array(status.size)
      let done = 0
      while (done < bytes.length) {
        const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, readBytesAtOnce), done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return bytes.subarray(0, done)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof GonkaError) throw error
    throw new GonkaError('ERR_GK_FILE', `cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

/** The whole file as JSON. Throws ERR_GK_FILE; the message never quotes the file's contents. */
export async function readJson(path: string, limit: number): Promise<unknown> {
  const bytes = await readBytes(path, limit)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new GonkaError('ERR_GK_FILE', `${path} is not JSON in UTF-8`)
  }
}

export interface WriteOptions {
  /** Permission bits of the new file. */
  readonly mode?: number
  /** Replace an existing file; otherwise its existence is ERR_GK_FILE_EXISTS. */
  readonly force?: boolean
}

/**
 * Writes a file in one step: the bytes go to a new file beside it (created exclusively, so no link is followed), are
 * flushed, and get the name only then. Throws ERR_GK_FILE_EXISTS or ERR_GK_FILE.
 */
export async function writeAtomically(
  path: string,
  data: Uint8Array | string,
  options: WriteOptions = {},
): Promise<void> {
  const mode = options.mode ?? 0o644
  const temporary = join(dirname(path), `.${randomBytes(8).toString('hex')}.tmp`)
  if (!options.force) await checkNewFile(path)
  else await checkReplaceable(path)
  try {
    const file = await open(temporary, 'wx', mode)
    try {
      await file.writeFile(data)
      await file.chmod(mode) // the umask may have taken bits away
      await file.sync()
    } finally {
      await file.close()
    }
    if (options.force) await rename(temporary, path)
    else await link(temporary, path) // fails if the name was taken meanwhile, where rename would replace
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw existsError(path)
    throw new GonkaError('ERR_GK_FILE', `cannot write ${path}: ${messageOf(error)}`, { cause: error })
  } finally {
    await unlink(temporary).catch(() => undefined) // gone already after rename
  }
}

/**
 * Makes a folder and those above it, with these permission bits less the umask. Throws ERR_GK_FILE. (Node's recursive
 * mkdir does not return where a file system answers ENOENT below a folder that is there, as /proc does.)
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  const missing: string[] = []
  for (let at = resolve(path); !(await exists(at)); at = dirname(at)) missing.push(at)
  try {
    for (const folder of missing.reverse()) {
      await mkdir(folder, { mode }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error // made by somebody else meanwhile
      })
    }
    if (!(await stat(path)).isDirectory()) throw new Error(`${path} is not a folder`)
  } catch (error) {
    throw new GonkaError('ERR_GK_FILE', `cannot make ${path}: ${messageOf(error)}`, { cause: error })
  }
}

/** Throws ERR_GK_FILE_EXISTS if there is such a file: for commands that would find out after long work. */
export async function checkNewFile(path: string): Promise<void> {
  if (await exists(path)) throw existsError(path)
}

/** Throws ERR_GK_FILE where a file could not be written or replaced: for commands that would find out after long work. */
export async function checkWritable(path: string): Promise<void> {
  await checkReplaceable(path)
  try {
    await access(dirname(path), fileModes.W_OK)
  } catch (error) {
    throw new GonkaError('ERR_GK_FILE', `cannot write ${path}: ${messageOf(error)}`, { cause: error })
  }
}

/** A device, a folder or a socket is not replaced, whatever was asked for. */
async function checkReplaceable(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined)
  if (status === undefined || status.isFile() || status.isSymbolicLink()) return
  throw new GonkaError('ERR_GK_FILE', `${path} is not a regular file; choose another name`)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function existsError(path: string): GonkaError {
  return new GonkaError('ERR_GK_FILE_EXISTS', `${path} exists; choose another name or pass --force`)
}
