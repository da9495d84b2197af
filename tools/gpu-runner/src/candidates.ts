import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache-folder.ts';
import { findUnpackedDriver, type UnpackedDriver } from './drivers/unpacked-driver.ts';

/** Environment variables that a process needs before it starts, so that Dawn finds an adapter. */
export type GpuVariables = Readonly<Record<string, string>>;

/** Folders in which the Vulkan loader looks for drivers of the machine. */
export const manifestFolders = [
  '/etc/vulkan/icd.d',
  '/usr/local/etc/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
  '/usr/share/vulkan/icd.d',
];

/** The machine's own manifest of lavapipe, if it is installed. */
export function installedLavapipe(folders: readonly string[] = manifestFolders): string | undefined {
  const manifests = folders.flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [],
  );
  return manifests.find((path) => /\/lvp_icd[^/]*\.json$/.test(path));
}

/** Variables that make a process use an unpacked driver and nothing else. */
export function unpackedDriverVariables(driver: UnpackedDriver): GpuVariables {
  return { ...driverVariables(driver.manifest), LD_LIBRARY_PATH: driver.libraries };
}

/** Variables that make a process use one Vulkan driver with the machine's loader. */
export function driverVariables(manifest: string): GpuVariables {
  // The second name is for Vulkan loaders before 1.3.207.
  const shaders = { MESA_SHADER_CACHE_DIR: join(cacheFolder(), 'mesa') };
  return { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest, ...shaders, ...runtimeFolder() };
}

/** Variables for the machine's own drivers with the unpacked Vulkan loader, where the machine has none. */
export function borrowedLoaderVariables(): GpuVariables | undefined {
  const driver = findUnpackedDriver('lavapipe') ?? findUnpackedDriver('swiftshader');
  return driver && { LD_LIBRARY_PATH: driver.libraries };
}

/** Drivers print a warning without it; Mesa keeps nothing of worth there. */
function runtimeFolder(): GpuVariables {
  if (process.env.XDG_RUNTIME_DIR) return {};
  const folder = join(cacheFolder(), 'runtime');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return { XDG_RUNTIME_DIR: folder };
}
