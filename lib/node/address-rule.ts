// Which addresses the node may call. Callback URLs arrive in requests, so without a rule anybody who reaches the API could
// make the node talk to the cloud's metadata service or to machines behind its firewall.
//
// A rule is a list of entries; a URL is allowed if one matches:
//   loopback            127.0.0.0/8, ::1
//   private             10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7
//   any                 every unicast address but link-local
//   10.1.0.0/16, 203.0.113.7   a network or address
//   api, *.example.org  a host name, or the names below one; whatever address it resolves to, but link-local
// The check is made on the address a connection is about to use, after name resolution, so a name cannot change its mind.

import { type LookupAddress, lookup as resolveName } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import { GonkaError } from '../errors.ts'

export interface AddressRule {
  /** Throws ERR_GK_INVALID_ARGUMENT with the reason if the URL can never be allowed; names are judged when resolved. */
  checkUrl(url: string): URL
  /** True if a connection to this address, reached under this host name, is allowed. */
  allows(address: string, hostname: string): boolean
}

export const defaultAddressRule: readonly string[] = ['loopback', 'private']

const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'],
  any: ['0.0.0.0/0', '::/0'],
}
const neverImplied = ['169.254.0.0/16', 'fe80::/10', '0.0.0.0/8', '224.0.0.0/3', 'ff00::/8', '::/128']

function addNetwork(list: BlockList, entry: string): void {
  const [address = '', prefix] = entry.split('/')
  const family = isIP(address)
  const bits = family === 6 ? 128 : 32
  const length = prefix === undefined ? bits : Number(prefix)
  if (family === 0 || !Number.isInteger(length) || length < 0 || length > bits) {
    throw new GonkaError(
      'ERR_GK_INVALID_ARGUMENT',
      `${JSON.stringify(entry)} is no address rule; use loopback, private, any, an address, a network or a host name`,
    )
  }
  list.addSubnet(address, length, family === 6 ? 'ipv6' : 'ipv4')
}

/** ::ffff:a.b.c.d is the IPv4 address it wraps: rules must not be dodged by spelling. */
function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  const hex = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address)
  if (hex === null) return address
  const word = (Number.parseInt(hex[1] as string, 16) * 65536 + Number.parseInt(hex[2] as string, 16)) >>> 0
  return [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')
}

export function addressRule(entries: readonly string[]): AddressRule {
  const implied = new BlockList()
  const explicit = new BlockList()
  const refused = new BlockList()
  const hosts = new Set<string>()
  const suffixes: string[] = []
  for (const network of neverImplied) addNetwork(refused, network)
  for (const entry of entries.map((e) => e.trim().toLowerCase()).filter((e) => e !== '')) {
    const group = named[entry]
    if (group !== undefined) for (const network of group) addNetwork(implied, network)
    else if (/^[0-9a-f.:]+(\/\d+)?$/.test(entry) && isIP(entry.split('/')[0] as string) !== 0)
      addNetwork(explicit, entry)
    else if (/^\*\.[a-z0-9._-]+$/.test(entry)) suffixes.push(entry.slice(1))
    else if (/^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/.test(entry)) hosts.add(entry)
    else addNetwork(explicit, entry)
  }
  const hostAllowed = (hostname: string) => {
    const name = hostname.toLowerCase()
    return hosts.has(name) || suffixes.some((suffix) => name.endsWith(suffix) && name.length > suffix.length)
  }
  const allows = (address: string, hostname: string) => {
    const plain = plainAddress(address)
    const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4'
    if (explicit.check(plain, family)) return true
    if (refused.check(plain, family)) return false
    return implied.check(plain, family) || hostAllowed(hostname)
  }
  const checkUrl = (text: string): URL => {
    let url: URL
    try {
      url = new URL(text)
    } catch {
      throw new GonkaError('ERR_GK_INVALID_ARGUMENT', 'the URL is not a valid absolute URL')
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `URL scheme ${url.protocol} is not http: or https:`)
    }
    if (url.username !== '' || url.password !== '') {
      throw new GonkaError('ERR_GK_INVALID_ARGUMENT', 'the URL must not carry a user name or password')
    }
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    if (isIP(literal) !== 0 && !allows(literal, literal)) throw refusal(literal)
    return url
  }
  return { checkUrl, allows }
}

function refusal(target: string): GonkaError {
  return new GonkaError(
    'ERR_GK_INVALID_ARGUMENT',
    `address ${target} is not in callbacks.allow; add it, its network or its host name there if it is meant`,
  )
}

type LookupCallback = (error: Error | null, address: string | LookupAddress[], family?: number) => void

/** Name resolution for node:http that hands out allowed addresses only. */
export function guardedLookup(rule: AddressRule) {
  return (hostname: string, options: { all?: boolean; family?: number | string }, callback: LookupCallback): void => {
    const family =
      options.family === 6 || options.family === 'IPv6' ? 6 : options.family === 4 || options.family === 'IPv4' ? 4 : 0
    resolveName(hostname, { all: true, family }, (error, addresses) => {
      if (error) return callback(error, [])
      const allowed = addresses.filter((a) => rule.allows(a.address, hostname))
      const first = allowed[0]
      if (first === undefined) return callback(refusal(`${addresses[0]?.address ?? '?'} (${hostname})`), [])
      if (options.all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}
