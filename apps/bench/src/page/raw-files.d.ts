/** A file's text, bundled. */
declare module '*?raw' {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: what the bundler makes of it
  export default text;
}
