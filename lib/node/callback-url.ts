// Callback URLs come with requests: what the rule can refuse at once is refused with the request.

import { messageOf } from '../errors.ts'
import type { AddressRule } from './address-rule.ts'
import { HttpError } from './http-error.ts'

/** Throws HttpError 400 with the reason. Host names are judged again when they are resolved. */
export function checkCallback(rule: AddressRule, url: string | undefined): void {
  if (url === undefined) return
  try {
    rule.checkUrl(url)
  } catch (error) {
    throw new HttpError(400, `url: ${messageOf(error)}`)
  }
}
