// An answer that is not 200: thrown by handlers, sent as {"detail": ...} the way the reference does.

export class HttpError extends Error {
  readonly status: number
  readonly detail: unknown

  constructor(status: number, detail: unknown) {
    super(typeof detail === 'string' ? detail : JSON.stringify(detail))
    this.name = 'HttpError'
    this.status = status
    this.detail = detail
  }
}
