// Constants of WebGPU that TypeScript's DOM library lacks.

declare const GPUBufferUsage: Record<'MAP_READ' | 'COPY_SRC' | 'COPY_DST' | 'UNIFORM' | 'STORAGE' | 'QUERY_RESOLVE', GPUBufferUsageFlags>;
declare const GPUMapMode: Record<'READ' | 'WRITE', GPUMapModeFlags>;
