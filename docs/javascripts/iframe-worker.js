// Pages that are opened from a folder (file://) may start no worker. The search then runs in a hidden frame, which
// looks like a worker from both sides: it gets messages as events, and its postMessage answers here.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.appendChild(frame)
      this.inside = frame.contentWindow
      this.inside.postMessage = data => {
        const event = new MessageEvent("message", { data })
        this.dispatchEvent(event)
        this.onmessage?.(event)
      }
      const script = frame.contentDocument.createElement("script")
      script.src = new URL(url, location.href).href
      script.onload = () => {
        this.waiting.forEach(data => this.tell(data))
        this.waiting = null
      }
      frame.contentDocument.body.appendChild(script)
    }

    postMessage(data) {
      this.waiting ? this.waiting.push(data) : this.tell(data)
    }

    tell(data) {
      this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }))
    }
  }
  window.Worker = window.IFrameWorker
}
