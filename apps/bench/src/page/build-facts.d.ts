/** What the build knows of the workspace. */
declare const __SACCADE_BUILD__: {
  readonly packages: Readonly<Record<string, string>>;
  readonly commit: string | null;
};
