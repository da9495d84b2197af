import { Transform } from 'node:stream';

/** Dawn prints these two whenever a Vulkan device with large limits is opened; they mean nothing to the user. */
const harmless = /^Warning: maxDynamic(?:Uniform|Storage)BuffersPerPipelineLayout artificially reduced from /;
const beginning = 'Warning: maxDynamic';
const newline = 10;

/** Whether a line of a program's stderr is one of Dawn's harmless warnings. */
export function isHarmlessDawnWarning(line: string): boolean {
  return harmless.test(line);
}

/**
 * A stream that drops Dawn's harmless warnings and passes on everything else, at once: only a line that may still become
 * such a warning is held back until it is complete.
 */
export function dawnWarningFilter(): Transform {
  let held: Buffer = Buffer.alloc(0);
  let midLine = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let rest = Buffer.concat([held, chunk]);
      held = Buffer.alloc(0);
      while (rest.length > 0) {
        const end = rest.indexOf(newline) + 1;
        const line = end > 0 ? rest.subarray(0, end) : rest;
        const text = line.toString('latin1');
        if (!midLine && end === 0 && beginning.startsWith(text.slice(0, beginning.length))) {
          held = line;
          break;
        }
        if (midLine || !isHarmlessDawnWarning(text)) this.push(line);
        midLine = end === 0;
        rest = rest.subarray(line.length);
      }
      done();
    },
    flush(done) {
      done(null, held);
    },
  });
}
