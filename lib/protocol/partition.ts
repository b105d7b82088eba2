/**
 * Which nonces belong to whom: nonce = node_id + group_id * node_count + x * (n_groups * node_count), x = 0, 1, 2, ...
 * (gonka-network specification 2.6). PoC v1 knows nodes only: one group.
 */
import { GonkaError } from '../errors.ts'

export interface Partition {
  readonly nodeId: bigint
  readonly nodeCount: bigint
  readonly groupId: bigint
  readonly groupCount: bigint
}

/** Largest nonce of PoC v1: seeds hold it in decimal, and the reference's JSON in a double. */
export const maxNonce = 2n ** 53n - 1n

/** Largest count of nodes or groups: far above any network, small enough for every product to stay exact. */
const maxCount = 2n ** 31n - 1n

/** The whole nonce space. */
export const wholePartition: Partition = { nodeId: 0n, nodeCount: 1n, groupId: 0n, groupCount: 1n }

/** Why these four numbers name no partition, or undefined. */
export function partitionProblem({ nodeId, nodeCount, groupId, groupCount }: Partition): string | undefined {
  if (nodeCount < 1n || nodeCount > maxCount) return `node_count ${nodeCount} is not in 1..${maxCount}`
  if (nodeId < 0n || nodeId >= nodeCount) return `node_id ${nodeId} is not in 0..${nodeCount - 1n}`
  if (groupCount < 1n || groupCount > maxCount) return `n_groups ${groupCount} is not in 1..${maxCount}`
  if (groupId < 0n || groupId >= groupCount) return `group_id ${groupId} is not in 0..${groupCount - 1n}`
  return undefined
}

/** The partition, checked. Throws ERR_GK_INVALID_ARGUMENT. */
export function checkedPartition(partition: Partition): Partition {
  const problem = partitionProblem(partition)
  if (problem !== undefined) throw new GonkaError('ERR_GK_INVALID_ARGUMENT', problem)
  return partition
}

export function inPartition(nonce: bigint, partition: Partition): boolean {
  const first = partition.nodeId + partition.groupId * partition.nodeCount
  const step = partition.groupCount * partition.nodeCount
  return nonce >= first && (nonce - first) % step === 0n
}

/** Nonces number start .. start + count - 1 of the partition. Throws ERR_GK_NONCES past 2^53 - 1. */
export function partitionNonces(partition: Partition, start: bigint, count: number): BigInt64Array {
  const first = partition.nodeId + partition.groupId * partition.nodeCount
  const step = partition.groupCount * partition.nodeCount
  if (start < 0n || (count > 0 && first + (start + BigInt(count) - 1n) * step > maxNonce)) {
    throw new GonkaError('ERR_GK_NONCES', `${count} nonces from number ${start} of the partition leave 0..2^53-1`)
  }
  const nonces = new BigInt64Array(count)
  for (let i = 0; i < count; i++) nonces[i] = first + (start + BigInt(i)) * step
  return nonces
}
