local M = load_module()
local guard = M.guard
reload()
expect(M.cache[M.f], "by function")
expect(M.guard, guard)
expect(getmetatable(guard).__close, M.f)
expect(M.more.f(), "new")
expect(draining(), "")
