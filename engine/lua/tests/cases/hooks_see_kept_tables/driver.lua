local M = load_module()
local map = M.map
reload()
expect(M.map, map)
expect(map.checked, true)
