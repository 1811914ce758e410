import { defineConfig } from 'vite'

// What is built runs under a policy that allows the page's own files and nothing else
// (origin/admin/console.go), so nothing is put into index.html or into data: URLs.
export default defineConfig({
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: 'licences.md' },
    chunkSizeWarningLimit: 700 // hls.js, which is fetched when a preview is played
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8081' } }
})
