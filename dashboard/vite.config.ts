import { readdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Writes each text of the page a second time, compressed: the program sends that to those who take it. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    async closeBundle() {
      const folder = new URL("./dist/", import.meta.url);
      for (const name of await readdir(folder, { recursive: true })) {
        if (!/\.(js|css|html|svg)$/.test(name)) continue;
        const file = new URL(name, folder);
        await writeFile(`${fileURLToPath(file)}.gz`, gzipSync(await readFile(file), { level: 9 }));
      }
    },
  };
}

const apiServer = process.env["MILLSTREAM_API"] ?? "http://127.0.0.1:8099";

const api = { proxy: { "/api": { target: apiServer, changeOrigin: true } } };

export default defineConfig({
  plugins: [svelte(), compressed()],
  server: { host: "127.0.0.1", ...api },
  preview: { host: "127.0.0.1", ...api },
  build: {
    target: "es2022",
    // The charts and Arrow come as chunks of their own, after the first paint.
    chunkSizeWarningLimit: 900,
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
