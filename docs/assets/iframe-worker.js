// A page that was opened from a disk may not start a worker, and without one there is no search. So there, and only there,
// what the worker would run runs in a hidden frame. The theme looks for the name IFrameWorker.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.appendChild(frame)
      const page = frame.contentDocument
      const inside = frame.contentWindow
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      inside.importScripts = (...addresses) =>
        addresses.reduce((before, next) => before.then(() => this.load(page, next)), Promise.resolve())
      this.inside = inside
      this.loaded = this.load(page, address)
    }

    load(page, address) {
      return new Promise((resolve, reject) => {
        const script = page.createElement("script")
        script.src = new URL(address, location.href)
        script.onload = resolve
        script.onerror = () => reject(new Error(`${address} cannot be read`))
        page.body.appendChild(script)
      })
    }

    postMessage(data) {
      this.loaded.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {}
  }
  window.Worker = window.IFrameWorker
}
