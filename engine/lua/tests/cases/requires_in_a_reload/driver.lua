local M = load_module()
reload()
expect(M.f(), "helper")
expect(require("helper").name(), "helper")
