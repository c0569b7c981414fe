local M = load_module()
local dep = require "dep"
expect(M.f(), "old old1")
reload()
expect(M.f(), "new new2!")
expect(M.table(), dep)
expect(require("dep"), dep)
