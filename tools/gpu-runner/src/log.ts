/** Takes a line that tells people what is being done. */
export type Log = (line: string) => void;
