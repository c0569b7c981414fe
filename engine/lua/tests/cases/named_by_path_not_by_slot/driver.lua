local M = load_module()
local a, b = M.a, M.b
M.a, M.b = M.b, M.a
reload()
expect(a(), "new a")
expect(b(), "new b")
expect(M.a(), "new a")
expect(M.b(), "new b")
