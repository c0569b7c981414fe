local M = load_module()
expect(M.dump(), "1 1.0 string true nil upvalue")
M.set_upvalue("new upvalue")
local data6 = M.data6
M.data1, M.data2, M.data3, M.data4, M.data5 = 2, 2.0, "new string", false, "was nil"
M.data6.k1 = 2
for _, name in ipairs { "func1", "func2", "set_upvalue", "dump" } do
    M[name] = function() return "replaced" end
end
M.data6[1] = function() return "replaced" end
M.data6.nested = function() return "replaced" end
expect(M.dump(), "replaced")

reload("m")

expect(M.func1(), "func1")
expect(M.func2(), 2)
expect(M.data6, data6)
expect(M.data6[1], M.func1)
expect(M.data6.nested(), 2)
expect(M.self, M)
expect(M.dump(), "2 2.0 new string false was nil new upvalue")
expect(M.data1, 2)
expect(M.data2, 2.0)
