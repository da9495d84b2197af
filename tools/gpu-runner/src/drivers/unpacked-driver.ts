import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../cache-folder.ts';
import { DriverSetupError } from '../errors.ts';

/** A software Vulkan driver in the cache folder, with the loader and the libraries that the machine lacks. */
export interface UnpackedDriver {
  readonly kind: 'lavapipe' | 'swiftshader';
  /** What was unpacked, for people. */
  readonly version: string;
  /** Absolute path of the manifest for the Vulkan loader. */
  readonly manifest: string;
  /** Absolute path of the folder for LD_LIBRARY_PATH. */
  readonly libraries: string;
}

interface Description {
  readonly kind: UnpackedDriver['kind'];
  readonly version: string;
}

const descriptionFile = 'driver.json';
const manifestFile = 'icd.json';
const librariesFolder = 'lib';

function driversFolder(): string {
  return join(cacheFolder(), 'drivers');
}

/** The driver of a kind that an earlier set-up unpacked for this architecture, if any. */
export function findUnpackedDriver(kind: UnpackedDriver['kind']): UnpackedDriver | undefined {
  const folder = join(driversFolder(), `${kind}-${process.arch}`);
  const file = join(folder, descriptionFile);
  if (!existsSync(file)) return undefined;
  const description = JSON.parse(readFileSync(file, 'utf8')) as Description;
  const manifest = join(folder, manifestFile);
  return { kind, version: description.version, manifest, libraries: join(folder, librariesFolder) };
}

/** What a driver's maker fills in: libraries are put into `libraries`, anything else belongs into `scratch`. */
export interface DriverFolders {
  readonly libraries: string;
  /** Removed afterwards. */
  readonly scratch: string;
}

/** What a driver's maker reports: its version and its main library's file name in the libraries folder. */
export interface MadeDriver {
  readonly version: string;
  readonly library: string;
  readonly apiVersion: string;
}

/**
 * Unpacks a driver beside its final place and moves it there in one step, so that a set-up that is broken off or run
 * twice at once leaves no half driver.
 */
export async function installUnpackedDriver(
  kind: UnpackedDriver['kind'],
  make: (folders: DriverFolders) => Promise<MadeDriver>,
): Promise<UnpackedDriver> {
  const parent = driversFolder();
  mkdirSync(parent, { recursive: true });
  const work = mkdtempSync(join(parent, '.unpacking-'));
  try {
    const result = join(work, 'driver');
    const folders = { libraries: join(result, librariesFolder), scratch: join(work, 'scratch') };
    mkdirSync(folders.libraries, { recursive: true });
    mkdirSync(folders.scratch);
    const made = await make(folders);
    const final = join(parent, `${kind}-${process.arch}`);
    const manifest = {
      file_format_version: '1.0.0',
      ICD: { library_path: join(final, librariesFolder, made.library), api_version: made.apiVersion },
    };
    writeFileSync(join(result, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`);
    const description: Description = { kind, version: made.version };
    writeFileSync(join(result, descriptionFile), `${JSON.stringify(description, null, 2)}\n`);
    rmSync(final, { recursive: true, force: true });
    renameSync(result, final);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const driver = findUnpackedDriver(kind);
  if (!driver)
    throw new DriverSetupError(`the ${kind} driver vanished from ${parent} (${readdirSync(parent).join(', ')})`);
  return driver;
}
