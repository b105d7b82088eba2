// From artifacts to weight to reward, as the chain reckons. Pure; amounts in ngonka as bigint.

export interface RewardParams {
  /** ngonka of the genesis epoch. */
  readonly initialReward: bigint
  readonly decayRate: number
  readonly genesisEpoch: number
}

/** The public network: 323 000 GNK, shrinking by 0.000475 an epoch. */
export const mainnetRewards: RewardParams = {
  initialReward: 323_000n * 10n ** 9n,
  decayRate: -0.000475,
  genesisEpoch: 1,
}

/** initial * exp(decay * (epoch - genesis)), rounded down to ngonka (to the double's 53 bits). */
export function epochReward(epoch: number, p: RewardParams = mainnetRewards): bigint {
  return BigInt(Math.floor(Number(p.initialReward) * Math.exp(p.decayRate * (epoch - p.genesisEpoch))))
}

/** trunc(count * nominal window / actual seconds) when counts are normalised by time, else the count. */
export function pocWeight(count: number, nominalSeconds: number, actualSeconds: number | undefined): number {
  return actualSeconds === undefined || actualSeconds <= 0
    ? count
    : Math.trunc((count * nominalSeconds) / actualSeconds)
}

export interface ModelCount {
  readonly weightScaleFactor: number
  readonly pocWeight: number
}

export function participantWeight(models: readonly ModelCount[]): number {
  return models.reduce((sum, m) => sum + Math.trunc(m.weightScaleFactor * m.pocWeight), 0)
}

/** Share of the network one host may hold: 1 host 100 %, 2 hosts 50 %, 3 hosts 40 %, more 30 %. */
export function individualCap(hosts: number): number {
  return hosts <= 1 ? 1 : hosts === 2 ? 0.5 : hosts === 3 ? 0.4 : 0.3
}

/** Granted to an honest host whose confirmation measures a little less. */
export const deviationAllowance = 0.909

/** min(weight, preserved + measured / allowance); without a confirmation the weight stays. */
export function confirmedWeight(weight: number, preserved: number, measured: number | undefined): number {
  return measured === undefined ? weight : Math.min(weight, Math.floor(preserved + measured / deviationAllowance))
}

/** Rewards of one epoch. What is lost by caps and failed confirmations is not redistributed. */
export function rewardsOf(
  hosts: readonly { readonly weight: number; readonly effective: number }[],
  reward: bigint,
): bigint[] {
  const full = hosts.reduce((sum, h) => sum + h.weight, 0)
  const active = hosts.filter((h) => h.weight > 0).length
  const cap = Math.floor(full * individualCap(active))
  return hosts.map((h) => (full === 0 ? 0n : (BigInt(Math.min(h.effective, cap)) * reward) / BigInt(full)))
}

export interface VoteCount {
  readonly validPower: number
  readonly invalidPower: number
  readonly totalPower: number
}

/** Accepted if valid power exceeds the threshold share of the whole network's weight; rejected if invalid power does;
 *  otherwise the guardians decide if they agree. */
export function outcome(
  votes: VoteCount,
  thresholdBps: number,
  guardians: readonly (boolean | undefined)[] = [],
): 'accepted' | 'rejected' {
  if (votes.validPower * 10_000 > votes.totalPower * thresholdBps) return 'accepted'
  if (votes.invalidPower * 10_000 > votes.totalPower * thresholdBps) return 'rejected'
  return guardians.length > 0 && guardians.every((vote) => vote === true) ? 'accepted' : 'rejected'
}

/** GNK with at most three decimals. */
export function formatGnk(ngonka: bigint): string {
  const milli = ngonka / 1_000_000n
  return `${milli / 1000n}.${(milli % 1000n).toString().padStart(3, '0')}`
}
