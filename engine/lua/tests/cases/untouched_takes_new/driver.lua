local M = load_module()
local list, deep = M.list, M.deep
M.text = "run time"
M.edited[1] = 7
M.deep.y = 9
M.hit()
local report = reload()
expect(M.number, 2)
expect(M.text, "run time")
expect(M.list, list)
expect(#list, 3)
expect(M.edited[1], 7)
expect(M.deep, deep)
expect(deep.x, 2)
expect(deep.y, 9)
expect(M.speed(), 4)
expect(M.hit(), 2)
expect_line(report, "applied m.number: it was 1")
expect_line(report, "applied m.list")
expect_line(report, "kept m.edited")
