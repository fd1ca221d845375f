/** Bytes that are written once, from front to back, and then read anywhere in them. */

/** A place for them, in a folder or in a database. */
export interface Blobs {
  /** Begins one. Nobody reads it before it is kept; what a crash leaves of it is removed later. */
  create(name: string): Promise<BlobWriter>;
  /** One that was kept; undefined where there is none (any more). */
  open(name: string): Promise<BlobReader | undefined>;
  /** Ends it for good; idempotent. */
  remove(name: string): Promise<void>;
  /** Removes what was begun before this time, in ms, and never kept. */
  removeUnkept(before: number): Promise<void>;
  /** Every one that was kept, with its first bytes, at most so many. */
  list(headBytes: number): Promise<readonly BlobHead[]>;
}

export interface BlobHead {
  readonly name: string;
  readonly head: Buffer;
}

export interface BlobWriter {
  /** Takes bytes in the order of the calls; resolves when there is room for more. */
  append(bytes: Uint8Array): Promise<void>;
  /** Makes all of it durable under its name. */
  keep(): Promise<void>;
  /** Drops what was written. */
  drop(): Promise<void>;
}

export interface BlobReader {
  readonly sizeBytes: number;
  /** The bytes from `offset` on, so many; fewer where it ends before, or was cut. */
  read(offset: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}
